import os

import pytest

from megahertz.load import pair, pinned


def test_a_pinned_thread_runs_there_until_the_end():
    before = os.sched_getaffinity(0)
    core = min(before)
    with pinned(core):
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


def test_no_core_is_anywhere():
    before = os.sched_getaffinity(0)
    with pinned(None):
        assert os.sched_getaffinity(0) == before


def test_an_error_gives_the_cores_back():
    before = os.sched_getaffinity(0)
    with pytest.raises(ZeroDivisionError), pinned(min(before)):
        1 / 0  # noqa: B018
    assert os.sched_getaffinity(0) == before


def test_one_core_makes_no_pair():
    with pinned(min(os.sched_getaffinity(0))):
        assert pair() is None
