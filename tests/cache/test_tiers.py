"""Local level and loader: one load a key, times, and what ends badly."""

import asyncio
import contextvars
from collections import Counter

import pytest

from megahertz.cache import LRU, Tiers
from megahertz.clock import Manual
from megahertz.context import deadline
from megahertz.errors import DeadlineExceeded, Overloaded, ReadError

from ..virtual import virtual


class Source:
    """A loader that waits until it is told, and counts."""

    def __init__(self, *, waits=False):
        self.calls, self.go = Counter(), asyncio.Event()
        self.fails: BaseException | None = None
        if not waits:
            self.go.set()

    async def __call__(self, key):
        self.calls[key] += 1
        await self.go.wait()
        if self.fails is not None:
            raise self.fails
        return f"{key}.{self.calls[key]}"


def tiers(source, ttl=100.0, **options):
    return Tiers(source, ttl, **{"name": "test", "jitter": 0, "beta": 0, **options})


async def settled():
    for _ in range(9):
        await asyncio.sleep(0)


async def test_a_thousand_misses_are_one_load():
    source = Source(waits=True)
    cache = tiers(source)
    waiting = [asyncio.create_task(cache.get("a")) for _ in range(1000)]
    await settled()
    source.go.set()
    assert set(await asyncio.gather(*waiting)) == {"a.1"}
    assert source.calls == {"a": 1}
    statistics = cache.statistics()
    assert (statistics.loads, statistics.joined, statistics.under_way) == (1, 999, 0)


async def test_a_waiter_that_is_cancelled_only_stops_waiting():
    source = Source(waits=True)
    cache = tiers(source)
    first, second = (asyncio.create_task(cache.get("a")) for _ in range(2))
    await settled()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    source.go.set()
    assert await second == "a.1" and source.calls == {"a": 1}


async def test_a_load_whose_waiters_all_left_is_kept():
    source = Source(waits=True)
    cache = tiers(source)
    only = asyncio.create_task(cache.get("a"))
    await settled()
    only.cancel()
    source.go.set()
    await settled()
    assert cache.peek("a") == "a.1" and only.cancelled()


async def test_a_deadline_of_the_first_caller_is_not_that_of_the_load():
    """Its other context variables are, for traces."""
    seen, gate = [], asyncio.Event()
    name = contextvars.ContextVar("name")

    async def load(key):
        await gate.wait()
        seen.append((name.get(), deadline()))
        return key

    cache = tiers(load)
    name.set("first")
    with pytest.raises(DeadlineExceeded), deadline(0.0):
        await cache.get("a")
    second = asyncio.create_task(cache.get("a"))
    await settled()
    gate.set()
    assert await second == "a" and seen == [("first", None)]


async def test_a_loader_that_raises_leaves_no_key_locked():
    source = Source()
    cache = tiers(source)
    source.fails = LookupError("no row")
    with pytest.raises(LookupError):
        await cache.get("a")
    source.fails = None
    assert await cache.get("a") == "a.2"
    assert cache.statistics().failures == 1


@virtual
async def test_a_loader_that_hangs_leaves_no_key_locked():
    source = Source(waits=True)
    cache = tiers(source, timeout=5.0)
    with pytest.raises(DeadlineExceeded, match="within 5 s"):
        await cache.get("a")
    source.go.set()
    assert await cache.get("a") == "a.2" and cache.statistics().under_way == 0


@virtual
async def test_a_loader_that_ignores_its_cancellation_holds_no_key():
    released = asyncio.Event()

    async def stubborn(key):
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    cache = tiers(stubborn, timeout=5.0, loads=1)
    with pytest.raises(DeadlineExceeded):
        await cache.get("a")
    assert cache.statistics().under_way == 0
    released.set()
    await settled()
    assert cache.peek("a") is None, "what comes after its time is not kept"
    assert await cache.get("a") == "late", "its place is free again"


async def test_a_loader_that_is_cancelled_leaves_no_key_locked():
    source = Source()
    cache = tiers(source)
    source.fails = asyncio.CancelledError()
    with pytest.raises(ReadError, match="was cancelled"):
        await cache.get("a")
    source.fails = None
    assert await cache.get("a") == "a.2"


async def test_loads_at_once_are_bounded():
    running = most = 0

    async def load(key):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return key

    cache = tiers(load, loads=4)
    assert await asyncio.gather(*map(cache.get, range(100))) == list(range(100))
    assert most == 4


async def test_too_many_loads_are_refused(monkeypatch):
    monkeypatch.setattr("megahertz.cache.flights.MOST", 2)
    source = Source(waits=True)
    cache = tiers(source, clock=(clock := Manual()), stale=50)
    source.go.set()
    await cache.get("old")
    source.go.clear()
    waiting = [asyncio.create_task(cache.get(key)) for key in "ab"]
    await settled()
    with pytest.raises(Overloaded) as refused:
        await cache.get("c")
    assert refused.value.retry_after
    clock.advance(120)
    assert await cache.get("old") == "old.1", "what is held is given, though it cannot be renewed"
    source.go.set()
    assert await asyncio.gather(*waiting) == ["a.1", "b.1"]


async def test_a_place_that_never_comes_free_is_told_so():
    source = Source(waits=True)
    cache = tiers(source, loads=1, timeout=0.01)
    found = await asyncio.gather(*map(cache.get, "ab"), return_exceptions=True)
    assert [type(error) for error in found] == [DeadlineExceeded, DeadlineExceeded]
    source.go.set()
    assert await cache.get("b") == "b.1", "the one that waited was never called"


async def test_none_is_an_answer_for_a_while():
    clock, calls = Manual(), []

    async def load(key):
        calls.append(key)

    cache = tiers(load, clock=clock, negative_ttl=10, stale=50)
    assert await cache.get("a") is None and await cache.get("a") is None
    assert calls == ["a"]
    clock.advance(10)
    assert await cache.get("a") is None and calls == ["a", "a"]
    never = tiers(load, negative_ttl=0)
    await never.get("b")
    await never.get("b")
    assert calls == ["a", "a", "b", "b"] and len(never.local) == 0


async def test_what_is_stale_is_given_while_it_is_loaded_anew():
    clock, source = Manual(), Source()
    cache = tiers(source, clock=clock, stale=50)
    assert await cache.get("a") == "a.1"
    clock.advance(120)
    source.go.clear()
    assert [await cache.get("a") for _ in range(9)] == ["a.1"] * 9
    source.go.set()
    await settled()
    assert await cache.get("a") == "a.2" and source.calls == {"a": 2}
    clock.advance(150)
    assert await cache.get("a") == "a.3", "what is too stale is not given"


async def test_what_cannot_be_loaded_anew_is_given_to_its_end():
    clock, source = Manual(), Source()
    cache = tiers(source, clock=clock, stale=50)
    await cache.get("a")
    clock.advance(120)
    source.fails = OSError("away")
    for _ in range(9):
        assert await cache.get("a") == "a.1"
        await settled()
    assert source.calls == {"a": 2}, "a second between two tries"
    clock.advance(2)
    await cache.get("a")
    await settled()
    assert source.calls == {"a": 3}
    clock.advance(50)
    with pytest.raises(OSError, match="away"):
        await cache.get("a")


async def test_a_try_that_fails_does_not_make_a_value_live_longer():
    clock, source = Manual(), Source()
    cache = tiers(source, clock=clock, stale=0.5)
    await cache.get("a")
    clock.advance(100.2)
    source.fails = OSError("away")
    assert await cache.get("a") == "a.1"
    await settled()
    clock.advance(0.3)
    with pytest.raises(OSError, match="away"):
        await cache.get("a")


async def test_what_is_slow_to_load_is_loaded_before_its_end(monkeypatch):
    """XFetch: at the draw's median, 0.7 x the time of a load, times beta."""
    monkeypatch.setattr("megahertz.cache.held.random.random", lambda: 0.5)
    clock, calls = Manual(), []

    async def load(key):
        calls.append(key)
        clock.advance(10)
        return len(calls)

    cache = tiers(load, ttl=100, clock=clock, beta=1.0)
    assert await cache.get("a") == 1
    clock.advance(93)
    assert await cache.get("a") == 1 and len(calls) == 1
    clock.advance(0.1)
    assert await cache.get("a") == 1, "the hit that notices does not wait"
    await settled()
    assert await cache.get("a") == 2


async def test_what_is_deleted_while_it_is_loaded_is_not_kept():
    source = Source(waits=True)
    cache = tiers(source)
    before = asyncio.create_task(cache.get("a"))
    await settled()
    await cache.delete("a")
    after = asyncio.create_task(cache.get("a"))
    await settled()
    source.go.set()
    assert await before in ("a.1", "a.2") and await after == "a.2"
    assert await cache.get("a") == "a.2" and source.calls == {"a": 2}


async def test_what_is_set_is_given():
    source = Source()
    cache = tiers(source)
    await cache.set("a", "mine")
    assert await cache.get("a") == "mine" and not source.calls
    cache.forget()
    assert await cache.get("a") == "a.1"


async def test_warming():
    source = Source()

    async def load(key):
        if key == 3:
            raise LookupError
        return await source(key)

    cache = tiers(load, loads=4)
    assert await cache.warm(range(100)) == 99
    assert len(cache.local) == 99 and cache.statistics().failures == 1
    assert await cache.warm([]) == 0


async def test_local_time_is_bounded_by_its_own():
    clock, source = Manual(), Source()
    cache = tiers(source, clock=clock, local_ttl=10)
    await cache.get("a")
    clock.advance(9)
    assert await cache.get("a") == "a.1"
    clock.advance(1)
    assert await cache.get("a") == "a.2"


def test_a_loop_that_ended_in_the_middle_leaves_no_key_locked():
    source = Source()
    cache = tiers(source)

    async def abandoned():
        source.go.clear()
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)
        await cache.get("a")

    loop = asyncio.new_event_loop()
    task = loop.create_task(abandoned())
    loop.run_forever()
    left = asyncio.all_tasks(loop)
    loop.close()
    source.go = asyncio.Event()
    source.go.set()
    assert asyncio.run(cache.get("a")).startswith("a.")
    assert task in left and len(left) == 2
    for each in left:
        each._log_destroy_pending = False
        each.get_coro().close()


async def test_a_hundred_thousand_that_end_together_are_spread():
    """Filled in one instant, all asked for every two seconds: no turn loads more than a quarter."""
    count, clock, loads = 100_000, Manual(), 0

    async def load(key):
        nonlocal loads
        loads += 1
        return key

    cache = Tiers(load, 100, name="crowd", local=LRU(count), clock=clock, loads=1024)
    assert await cache.warm(range(count)) == count and loads == count
    turns = []
    clock.advance(94)
    for _ in range(7):
        before = loads
        await cache.warm(range(count))
        turns.append(loads - before)
        clock.advance(2)
    assert sum(turns) == count and max(turns) < count / 4 and turns[0] == 0
