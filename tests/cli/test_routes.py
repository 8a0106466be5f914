import sys

import pytest
from click.testing import CliRunner

from megahertz.cli import main

SHOP = """
from megahertz import App, GCRA, Policy

app = App(policy=Policy(deadline=0.5))
broken = App()

@app.get("/items/{sku}", policy=Policy(limit=GCRA(10), concurrency=3))
async def item(sku: int) -> int:
    return sku

@broken.get("/a")
@broken.get("/a")
async def twice() -> None: ...

async def asgi(scope, receive, send): ...
"""


@pytest.fixture
def ask(tmp_path, monkeypatch):
    (tmp_path / "listed.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield lambda *arguments: CliRunner().invoke(main, ["routes", *arguments])
    sys.modules.pop("listed", None)


def test_every_route_is_listed_with_its_rules(ask):
    result = ask("listed:app")

    assert result.exit_code == 0
    line = next(line for line in result.output.splitlines() if "/items/{sku}" in line)
    assert line.split()[:4] == ["GET", "/items/{sku}", "item", "listed.item"]
    assert "deadline 0.5, limit GCRA(10" in line
    assert "concurrency 3" in line


@pytest.mark.parametrize(
    ("target", "told"),
    [("listed:broken", "is already GET /a"), ("listed:asgi", "is no megahertz App")],
)
def test_what_cannot_be_listed_says_why(ask, target, told):
    result = ask(target)

    assert result.exit_code == 3
    assert told in result.output


def test_plain_mhz_lists_its_commands(ask):
    result = CliRunner().invoke(main)

    assert result.exit_code == 0
    assert "run" in result.output
