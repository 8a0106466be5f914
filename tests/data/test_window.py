"""Keys that are remembered, and for how long."""

import asyncio

import pytest

from megahertz.data.window import Entry, Window


def entry(key: str, sequence: int = 1) -> Entry[str]:
    return Entry(key, key, encoded=key.encode(), sequence=sequence)


def test_a_pending_entry_is_found():
    window: Window[str] = Window(1)
    window.add(pending := entry("a"))
    assert window.get("a") is pending


def test_the_last_persisted_are_kept_as_bytes():
    window: Window[str] = Window(2)
    for number, key in enumerate("abc", 1):
        window.keep(key, key.encode(), number)

    assert [window.get(key) for key in "abc"] == [None, b"b", b"c"]
    assert (len(window), window.released) == (2, 1)


def test_without_a_window_everything_is_released():
    window: Window[str] = Window(0)
    window.keep("a", b"a", 7)
    assert (len(window), window.released) == (0, 7)


def test_a_pending_entry_outlives_its_old_key():
    """A key that left the window and came again is pending, whatever the old one's turn."""
    window: Window[str] = Window(1)
    window.keep("a", b"a", 1)
    window.add(again := entry("a", 2))
    window.keep("b", b"b", 3)

    assert window.get("a") is again


def test_only_its_own_entry_is_discarded():
    window: Window[str] = Window(1)
    window.add(entry("a"))
    window.discard(entry("a"))
    assert window.get("a") is not None


async def test_everybody_who_waits_is_told():
    loop, waiting = asyncio.get_running_loop(), entry("a")
    first, second = loop.create_future(), loop.create_future()
    waiting.future, waiting.more = first, [second]
    first.cancel()
    waiting.resolve(OSError("gone"))

    with pytest.raises(OSError, match="gone"):
        await second
    assert waiting.future is None
