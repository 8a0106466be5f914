"""The drain alone: its batches, its patience, its order."""

import asyncio
import contextlib
import logging

import pytest

from megahertz.data import drain as module
from megahertz.data.drain import Drain
from megahertz.data.window import Entry


def entries(*names: str) -> list[Entry[str]]:
    return [
        Entry(name, name, encoded=name.encode(), sequence=number)
        for number, name in enumerate(names, 1)
    ]


class Store:
    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.failures = 0

    async def __call__(self, batch: list[str]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("away")
        self.batches.append(batch)


@contextlib.asynccontextmanager
async def draining(store, **settings):
    settings = {"batch": 3, "linger": 0.0} | settings
    told: list[list[str]] = []

    async def bury(entries):
        raise AssertionError("nothing is poisoned here")

    drain = Drain(
        store, lambda batch: told.append([entry.key for entry in batch]), bury, **settings
    )
    task = asyncio.create_task(drain.run())
    yield drain, told
    task.cancel()
    await asyncio.wait([task])


async def test_a_long_queue_goes_in_batches_in_order():
    store = Store()
    async with draining(store) as (drain, told):
        drain.add(entries("a", "b", "c", "d"))
        await drain.flush()

    assert store.batches == told == [["a", "b", "c"], ["d"]]
    assert drain.batches == 2


async def test_a_full_batch_does_not_linger():
    store = Store()
    async with draining(store, linger=3600.0) as (drain, _):
        drain.add(entries("a", "b"))
        drain.add(entries("c"))
        while not store.batches:  # noqa: ASYNC110 - what is tested is that nobody has to ask
            await asyncio.sleep(0)

    assert store.batches == [["a", "b", "c"]]


async def test_a_flush_does_not_wait_for_company():
    store = Store()
    async with draining(store, linger=3600.0) as (drain, _):
        drain.add(entries("a"))
        await drain.flush()

    assert store.batches == [["a"]]


async def test_an_empty_queue_is_flushed_at_once():
    async with draining(Store()) as (drain, _):
        await drain.flush()


async def test_waits_double_up_to_a_cap_and_vary(monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    store, waits, real = Store(), [], asyncio.sleep
    store.failures = 12

    async def sleep(seconds):
        waits.append(seconds)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(module.random, "uniform", lambda low, high: high)
    async with draining(store) as (drain, _):
        drain.add(entries("a"))
        await drain.flush()

    assert waits[:4] == [0.05, 0.1, 0.2, 0.4]
    assert waits[-1] == module.LONGEST_WAIT
    assert drain.failures == 12


async def test_the_jitter_is_never_more_than_half(monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    bounds = []
    monkeypatch.setattr(module.random, "uniform", lambda *span: bounds.append(span) or 0.0)
    store = Store()
    store.failures = 1
    async with draining(store) as (drain, _):
        drain.add(entries("a"))
        await drain.flush()

    assert bounds == [(0.5, 1.0)]


async def test_records_behind_a_failing_batch_wait_their_turn(caplog, monkeypatch):
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(module.random, "uniform", lambda *span: 0.0)
    store = Store()
    store.failures = 3
    async with draining(store) as (drain, told):
        drain.add(entries("a", "b", "c", "d"))
        await drain.flush()

    assert told == [["a", "b", "c"], ["d"]]
    assert [record.message for record in caplog.records] == [
        "the sink failed, its batch is kept: OSError: away",
        "the sink works again after 3 failures",
    ]


@pytest.mark.parametrize("count", [1, 3, 7])
async def test_no_batch_is_longer_than_told(count: int):
    store = Store()
    async with draining(store) as (drain, _):
        drain.add(entries(*map(str, range(count))))
        await drain.flush()

    assert [len(batch) for batch in store.batches] == [3] * (count // 3) + [1] * (count % 3 > 0)
