"""Records that a sink can never store."""

import asyncio
import logging
import resource
from pathlib import Path

import msgspec
import pytest

from megahertz.data import WriteBehind, dead_letters
from megahertz.data.dead import bury
from megahertz.errors import JournalFailed, Poisoned


class Order(msgspec.Struct, frozen=True):
    id: str


class Picky:
    """A sink that cannot store what starts with `bad`."""

    def __init__(self) -> None:
        self.stored: list[str] = []

    async def __call__(self, batch: list[Order]) -> None:
        bad = {at: "bad" for at, order in enumerate(batch) if order.id.startswith("bad")}
        if bad:
            raise Poisoned(bad)
        self.stored += [order.id for order in batch]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.ERROR)
    return caplog


def behind(directory: Path, sink) -> WriteBehind[Order]:
    return WriteBehind(directory, sink, type=Order, key=lambda it: it.id, linger=0.0)


async def test_the_rest_of_the_batch_is_stored(tmp_path: Path, quiet):
    sink = Picky()
    async with behind(tmp_path, sink) as orders:
        await asyncio.gather(*(orders.put(Order(each)) for each in ("a", "bad", "b", "bad2")))
        await orders.flush()
        assert orders.statistics().dead == 2

    assert sink.stored == ["a", "b"]
    assert await asyncio.to_thread(dead_letters, tmp_path, Order) == [Order("bad"), Order("bad2")]
    assert "can never be stored" in quiet.text


async def test_dead_letters_add_up_over_starts(tmp_path: Path):
    for each in ("bad1", "bad2"):
        async with behind(tmp_path, Picky()) as orders:
            await orders.put(Order(each))

    assert await asyncio.to_thread(dead_letters, tmp_path, Order) == [Order("bad1"), Order("bad2")]


async def test_a_dead_letter_is_not_replayed(tmp_path: Path):
    async with behind(tmp_path, Picky()) as orders:
        await orders.put(Order("bad"))
    async with behind(tmp_path, Picky()) as orders:
        assert orders.recovered == ()


async def test_what_cannot_be_buried_stays_pending(tmp_path: Path, monkeypatch):
    sink, real = Picky(), asyncio.to_thread
    refusals = iter([JournalFailed("full")])

    async def to_thread(call, *arguments):
        if call.__name__ == "bury":
            for refusal in refusals:
                raise refusal
        return await real(call, *arguments)

    async with behind(tmp_path, sink) as orders:
        monkeypatch.setattr(asyncio, "to_thread", to_thread)
        await orders.put(Order("bad"))
        await orders.flush()
        assert orders.statistics().sink_failures == 1
        assert orders.statistics().dead == 1


def test_no_directory_no_dead_letters(tmp_path: Path):
    assert dead_letters(tmp_path, Order) == []


def test_a_letter_that_the_disk_refuses_is_not_buried(tmp_path: Path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, before[1]))
    try:
        with pytest.raises(JournalFailed, match="File too large"):
            bury(str(tmp_path), [b"x" * (3 << 20)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert dead_letters(tmp_path, Order) == []
