"""`mhz openapi`: the document on stdout, into a file, and against one."""

import json

import pytest
from click.testing import CliRunner

from megahertz.cli import main

APP = "examples.inventory:app"


@pytest.fixture
def openapi(monkeypatch):
    monkeypatch.syspath_prepend(".")
    return lambda *arguments: CliRunner().invoke(main, ["openapi", *arguments])


def test_it_is_written(openapi, tmp_path):
    file = tmp_path / "openapi.json"
    assert json.loads(openapi(APP).output)["info"]["title"] == "inventory"
    assert openapi(APP, "-o", str(file)).exit_code == 0
    assert json.loads(file.read_text())["openapi"] == "3.1.0"
    assert openapi(APP, "-o", str(file), "--check").exit_code == 0


def test_a_file_that_fell_behind_is_told(openapi, tmp_path):
    file = tmp_path / "openapi.json"
    for text in (None, "{}"):
        if text is not None:
            file.write_text(text)
        found = openapi(APP, "-o", str(file), "--check")
        assert found.exit_code == 1
        assert f"mhz openapi {APP} --output {file}" in found.output
    assert openapi(APP, "--check").exit_code == 2


def test_an_asgi_application_has_none(openapi):
    found = openapi("examples.inventory:found")
    assert found.exit_code == 3
    assert "no megahertz App" in found.output
