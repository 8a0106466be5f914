"""Figures in pages are what the committed results say."""

import pytest

from benchmarks.render import PAGES, ROOT, written


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_table_is_the_newest_result(page):
    assert (ROOT / page).read_text() == written(page), "python -m benchmarks.render"
