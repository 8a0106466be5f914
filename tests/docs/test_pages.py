"""Every Python block of the README and of docs runs, in the order of its page."""

import runpy
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from megahertz.cli.errors import document
from megahertz.testing import Client

ROOT = Path(__file__).parents[2]
PAGES = sorted({ROOT / "README.md", *ROOT.glob("docs/**/*.md")})
SNIPPETS = sorted(ROOT.glob("docs/snippets/*.py"))


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_blocks_of_a_page_run(page, request, monkeypatch):
    if page.stem in ("caches", "redis", "sessions"):
        monkeypatch.setenv("REDIS_URL", request.getfixturevalue("redis_server").url)
    if page.stem in ("configuration", "discovery", "etcd"):
        monkeypatch.setenv("ETCD", request.getfixturevalue("etcd").endpoint)
    sybil = Sybil(parsers=[PythonCodeBlockParser()], path=str(page.parent), pattern=page.name)
    document = sybil.parse(page)

    for example in document.examples():
        example.evaluate()


def test_the_tutorial_has_blocks_to_run():
    """The runner above would be content with a page whose fences it does not recognise."""
    page = ROOT / "docs/tutorial/first-service.md"
    sybil = Sybil(parsers=[PythonCodeBlockParser()], path=str(page.parent), pattern=page.name)

    assert len(list(sybil.parse(page).examples())) == page.read_text().count("```python")


@pytest.mark.parametrize("snippet", SNIPPETS, ids=named)
def test_a_snippet_runs_alone(snippet):
    names = runpy.run_path(str(snippet))

    if "app" in names:
        with Client(names["app"]) as client:
            assert client.get("/").status_code == 200


def test_the_table_of_errors_is_the_tree():
    written = (ROOT / "docs/errors.md").read_text()

    assert written == document() + "\n", "run: mhz errors > docs/errors.md"
