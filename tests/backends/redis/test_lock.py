"""Locks, scripts and tracking on a real server."""

import asyncio

import pytest

from megahertz.backends import Redis
from megahertz.backends.redis import Lock
from megahertz.errors import AlreadyHeld, LeaseLost, Misused, ReplyError


async def test_one_holder_at_a_time(store):
    async with Redis(port=store.port) as redis:
        inside = 0

        async def work():
            nonlocal inside
            async with redis.lock("l", timeout=30, sleep=0.001) as lock:
                inside += 1
                assert inside == 1 and await lock.owned() and await lock.locked()
                inside -= 1

        await asyncio.gather(*(work() for _ in range(20)))
        assert not await redis.lock("l").locked()


async def test_who_may_not_wait(store):
    async with Redis(port=store.port, decode_responses=True) as redis:
        lock, other = redis.lock("l"), redis.lock("l", blocking=False)
        assert await lock.acquire(token="mine") and await redis.get("l") == "mine"
        assert not await other.acquire() and not await other.owned()
        assert not await other.acquire(blocking=True, blocking_timeout=0.01)
        with pytest.raises(AlreadyHeld):
            async with other:
                pytest.fail("it is held")
        with pytest.raises(Misused, match="not held"):
            await other.release()
        with pytest.raises(Misused, match="no timeout"):
            await lock.extend(1)
        await lock.release()


async def test_a_lease_that_ran_out_is_not_anothers_to_release(store):
    async with Redis(port=store.port) as redis:
        lock = redis.lock("l", timeout=10)
        assert await lock.acquire()
        assert await lock.extend(10) and 15_000 < await redis.pttl("l") <= 20_000
        assert await lock.extend(5, replace_ttl=True) and await redis.pttl("l") <= 5_000
        assert await lock.reacquire() and 5_000 < await redis.pttl("l") <= 10_000
        await redis.set("l", "somebody else")
        assert not await lock.owned()
        with pytest.raises(LeaseLost):
            await lock.extend(1)
        with pytest.raises(LeaseLost):
            await lock.release()
        assert await redis.get("l") == b"somebody else"


async def test_waiting_is_asked_for_by_the_pause(store):
    async with Redis(port=store.port) as redis:
        await redis.set("l", "held")
        pauses = []

        async def pause(seconds):
            pauses.append(seconds)
            await redis.delete("l")

        assert await Lock(redis, "l", sleep=7, pause=pause).acquire()
        assert pauses == [7]


async def test_a_script_is_told_to_who_does_not_know_it(store):
    async with Redis(port=store.port) as redis:
        add = redis.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        assert await add(keys=["n"], args=[2]) == 2
        assert await redis.script_exists(add.sha) == [True]
        assert await add(keys=["n"], args=[2]) == 4
        await redis.script_flush()
        pipe = redis.pipeline()
        await add(keys=["n"], args=[1], client=pipe)
        await pipe.get("n")
        assert await pipe.execute() == [5, b"5"]
        wrong = redis.register_script("return redis.call('NONSENSE')")
        for _ in range(2):
            with pytest.raises(ReplyError, match="Unknown Redis command"):
                await wrong()
        with pytest.raises(ReplyError, match="No scripts in execution"):
            await redis.script_kill()


async def test_keys_that_were_read_are_named_when_they_change(store):
    told = asyncio.Queue()
    async with Redis(port=store.port, backoff=0.0) as redis, Redis(port=store.port) as other:
        redis.track(told.put_nowait)
        assert await redis.get("a") is None
        await other.set("unread", 1)
        await other.set("a", 1)
        assert await told.get() == [b"a"]
        await other.set("a", 2)
        await redis.get("a")
        await other.flushall()
        assert await told.get() is None
        await other.client_kill((await redis.client_info())["addr"])
        assert await told.get() is None
        await redis.get("b")
        await redis.set("b", 1)
        assert await told.get() == [b"b"]
        with pytest.raises(Misused):
            redis.track(print)
        assert redis.statistics()["pushes"] >= 3


async def test_keys_by_prefix_and_not_ones_own(store):
    told = asyncio.Queue()
    async with Redis(port=store.port) as redis, Redis(port=store.port) as other:
        redis.track(told.put_nowait, prefixes=["a:", "b:"], noloop=True)
        await redis.set("a:1", 1)
        await other.set("c:1", 1)
        await other.set("b:1", 1)
        assert await told.get() == [b"b:1"]
    with pytest.raises(Misused):
        Redis(protocol=2).track(print)


async def test_who_stops_waiting_for_a_list_takes_nothing_from_it(store):
    async with Redis(port=store.port) as redis:
        waiting = asyncio.create_task(redis.blpop("l", 0))
        while not redis.statistics()["own_busy"]:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        await redis.ping()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        while any(c["cmd"] == "blpop" for c in await redis.client_list()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        await redis.rpush("l", "x")
        assert await redis.lpop("l") == b"x"
        assert await redis.execute("BLPOP", "none", 0.01) is None
        assert redis.statistics()["own_busy"] == 0


async def test_too_many_wait(store, monkeypatch):
    monkeypatch.setattr("megahertz.backends.redis.own.MOST", 1)
    from megahertz.errors import Overloaded

    async with Redis(port=store.port) as redis:
        waiting = asyncio.create_task(redis.blpop("l", 0))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await redis.blpop("l", 0)
        await redis.rpush("l", "x")
        assert await waiting == (b"l", b"x")
