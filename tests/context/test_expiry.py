"""Deadlines of messages, by the wall clock."""

import time

import pytest

from megahertz.context import deadline, expiry, read_expiry
from megahertz.errors import RemoteProtocolError


async def test_a_moment_is_told_and_read(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    assert expiry() is None
    with deadline(60.0):
        told = expiry()

    assert 1_000_059_000 <= int(told) <= 1_000_060_000
    monkeypatch.setattr(time, "time", lambda: 1_000_030.0)
    assert 29 <= read_expiry(told) <= 30
    monkeypatch.setattr(time, "time", lambda: 1_000_061.0)
    assert read_expiry(told) == 0.0


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e3", " 1", "9" * 16, "soon"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(RemoteProtocolError, match="Unix milliseconds"):
        read_expiry(text)
