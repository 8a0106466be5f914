"""Lines that get memory and keep it."""

import tracemalloc
from pathlib import Path

import pytest

from megahertz.errors import BackendError, BadSettings
from megahertz.observe import profile

held = []


def test_a_line_that_keeps_memory_is_named():
    def wait(seconds):
        held.append(bytearray(1_000_000))  # keeps
        bytearray(2_000_000)  # does not

    found = profile.grown(0.25, wait=wait)
    held.clear()
    lines = Path(__file__).read_text().splitlines()
    keeps = next(number for number, text in enumerate(lines, 1) if text.endswith("# keeps"))
    assert found[0].where == f"{__file__}:{keeps}"
    assert found[0].bytes >= 3_000_000
    assert found[0].blocks >= 3
    assert not any(one.where == f"{__file__}:{keeps + 1}" for one in found)
    assert not tracemalloc.is_tracing()


def test_who_has_gone_is_not_waited_for():
    waits = []
    profile.grown(600.0, lambda: len(waits) == 2, wait=waits.append)
    assert len(waits) == 2


def test_somebody_elses_tracing_is_left_alone():
    tracemalloc.start()
    try:
        with pytest.raises(BackendError, match="traces already"):
            profile.grown(1.0)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("seconds", [0.0, -1.0, 601.0])
def test_a_time_that_cannot_be_is_said(seconds):
    with pytest.raises(BadSettings):
        profile.grown(seconds)
