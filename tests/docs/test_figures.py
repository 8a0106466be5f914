"""Figures in pages are what the committed results say."""

import json
from pathlib import Path

from benchmarks.render import newest, written

README = Path(__file__).parents[2] / "README.md"


def test_the_readmes_table_is_the_newest_result():
    page = README.read_text()
    assert page == written(page, json.loads(newest().read_text())), "python -m benchmarks.render"
