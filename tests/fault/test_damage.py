"""Scenarios 4 and 5: torn tails are cut, damage in the middle is told, with file and offset."""

import random
from pathlib import Path

import pytest
from checker import Ledger, check, frames, journaled

from megahertz.engine import Journal
from megahertz.errors import JournalCorrupt

BOUNDS = {"records": 1000, "bytes": 1 << 20, "segment_bytes": 1 << 20}


def read(directory: Path) -> list[bytes]:
    """What a start would replay."""
    journal = Journal(str(directory), **BOUNDS)
    try:
        return [record for _, record in journal.replay()]
    finally:
        journal.close()


async def killed_before_the_sync(home: Path, start, strace, segments) -> Ledger:
    """An acknowledged order, and one that was written and not synced."""
    ledger = Ledger(stock=100)
    under = strace("fdatasync:signal=KILL:when=2", *segments(home))
    async with start(home, ledger, under=under, segment_bytes=1 << 20) as child:
        await child.ask(put=["a"])
        child.say(put=["torn"])
        assert await child.end() == -9
    return ledger


async def test_a_tail_torn_at_any_length_keeps_what_was_acknowledged(
    home: Path, start, strace, segments
):
    ledger = await killed_before_the_sync(home, start, strace, segments)
    [segment] = (home / "journal").glob("*.segment")
    whole, last = segment.read_bytes(), frames(segment)[-1]
    assert [order.id for order in journaled(home / "journal")] == ["a", "torn"]
    for length in range(last.length + 1):
        end = last.offset + length
        segment.write_bytes(whole[:end])
        assert len(read(home / "journal")) == 1 + (length == last.length)
        segment.write_bytes(whole[:end] + bytes(4096))
        assert len(read(home / "journal")) == 1 + (length == last.length)
    segment.write_bytes(whole[: last.offset + 20])
    assert await check(home, ledger) == {"a"}


async def test_a_garbled_tail_is_cut(home: Path, start, strace, segments):
    ledger = await killed_before_the_sync(home, start, strace, segments)
    [segment] = (home / "journal").glob("*.segment")
    whole, last = segment.read_bytes(), frames(segment)[-1]
    noise = random.Random(1)
    for at in range(last.length):
        garbled = bytearray(whole)
        start_, end = last.offset + at, last.offset + last.length
        garbled[start_:end] = noise.randbytes(end - start_)
        if garbled == whole:
            continue
        segment.write_bytes(garbled)
        assert len(read(home / "journal")) == 1
    assert await check(home, ledger) == {"a"}


async def test_a_flipped_byte_in_the_middle_stops_the_start(home: Path, start, launch):
    ledger, journal = Ledger(stock=100), home / "journal"
    async with start(home, ledger, segment_bytes=1 << 20) as child:
        for each in ("a", "b", "c"):
            await child.ask(put=[each])
        child.kill()
        await child.end()
    [segment] = journal.glob("*.segment")
    whole = segment.read_bytes()
    for each in frames(segment):
        if each.payload is None:
            continue
        for at in range(each.offset, each.offset + each.length):
            damaged = bytearray(whole)
            damaged[at] ^= 0x10
            segment.write_bytes(damaged)
            with pytest.raises(JournalCorrupt) as refused:
                read(journal)
            assert (refused.value.file, refused.value.offset) == (str(segment), each.offset)

    async with launch(home, ledger) as child:
        assert await child.end() == 1
    said = (home / "stderr").read_text()
    assert f"{segment} at offset {refused.value.offset}" in said
    segment.write_bytes(whole)
    assert await check(home, ledger) == {"a", "b", "c"}
