"""Figures in pages and pictures are what the committed results say."""

import pytest

from benchmarks.render import PLOTS, ROOT, rendered

FILES = rendered()


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_what_the_newest_results_make_of_it(path):
    assert (ROOT / path).read_text() == FILES[path], "python -m benchmarks.render"


def test_no_picture_is_left_of_a_work_that_is_gone():
    drawn = {str(file.relative_to(ROOT)) for file in (ROOT / PLOTS).glob("*.svg")}

    assert drawn <= set(FILES)
