"""`mhz new`: what it makes, and what it refuses."""

import pytest
from click.testing import CliRunner

from megahertz.cli import main
from megahertz.cli.new import TREE


@pytest.fixture
def new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["new", *arguments])


def test_a_project_is_made(new, tmp_path):
    found = new("my-shop")
    assert found.exit_code == 0
    assert "mhz run my_shop.app:app" in found.output
    made = {str(file.relative_to(tmp_path / "my-shop")) for file in tmp_path.rglob("*.*")}
    assert {path.replace("$package", "my_shop") for path in TREE if "." in path} <= made
    for file in tmp_path.rglob("*.py"):
        assert "$" not in file.read_text()
    assert "MY_SHOP_DATABASE" in (tmp_path / "my-shop/my_shop/app.py").read_text()


def test_it_may_go_elsewhere_but_not_onto_something(new, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    (tmp_path / "empty").mkdir()
    assert new("shop", "--into", "empty").exit_code == 0
    refused = new("shop", "--into", "full")
    assert refused.exit_code == 1
    assert "not empty" in refused.output
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["Shop", "1shop", "a--b", "../shop", "", "json", "megahertz"])
def test_a_name_that_cannot_be_imported_is_refused(new, tmp_path, name):
    assert new(name).exit_code == 2
    assert list(tmp_path.iterdir()) == []
