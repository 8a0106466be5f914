"""Limits over a real Redis that goes away, hangs, comes back; rates too low for time to matter."""

import asyncio
from itertools import count

import pytest
import redis.asyncio as redis_py
from hypothesis import given
from hypothesis import strategies as st

from megahertz.backends import rule
from megahertz.engine import Plane
from megahertz.errors import BadSettings, Misused, RateLimited
from megahertz.govern import (
    GCRA,
    LeakyBucket,
    LimitStatistics,
    RedisScope,
    RedisStatistics,
    SlidingWindow,
    TokenBucket,
)
from megahertz.govern.limit.limiter import share

numbers = count()


def scope_of(server, **settings):
    """Patient, as the machine may be busy, and quick to look again."""
    return RedisScope(server.url, **{"timeout": 30, "rest": 0.001} | settings)


async def admitted(limit, calls):
    return [await limit.decide() <= 0 for _ in range(calls)].count(True)


async def back(scope, limit):
    while scope.statistics().away:
        await limit.decide()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("law", "most"), [(GCRA, 10), (TokenBucket, 10), (LeakyBucket, 11), (SlidingWindow, 10)]
)
async def test_servers_count_together(redis_server, law, most):
    bursts = {} if law is SlidingWindow else {"burst": 10}
    async with scope_of(redis_server) as here, scope_of(redis_server) as there:
        one, other = (
            law(10, 3600, scope=each, name=law.__name__, **bursts) for each in (here, there)
        )
        calls = await asyncio.gather(*[each.decide() for each in (one, other) * 40])

        assert sum(wait <= 0 for wait in calls) == most
        counted = [one.statistics(), other.statistics()]
        assert sum(each.admitted for each in counted) == most
        assert sum(each.refused for each in counted) == 80 - most


async def test_keys_are_apart_and_may_be_long_or_foreign(redis_server):
    async with scope_of(redis_server) as scope:
        limit = GCRA(1, 3600, key="client", scope=scope)
        for key in ("ann", "x" * 5000, "x" * 5001, "\u00fc", "\ud800"):
            assert [await limit.decide(key) == 0 for _ in range(2)] == [True, False]


async def test_away_each_server_has_its_share_and_all_come_back(redis_server):
    async with (
        scope_of(redis_server, instances=2) as here,
        scope_of(redis_server, instances=2) as there,
    ):
        limits = [GCRA(100, 3600, burst=100, scope=each, name="one") for each in (here, there)]
        for limit in limits:
            limit.join(Plane())  # as two machines have it
        assert sum([await admitted(limit, 150) for limit in limits]) == 100

        redis_server.stop()
        assert [await admitted(limit, 200) for limit in limits] == [50, 50]
        assert here.statistics().away
        assert here.statistics().losses == 1
        redis_server.start()
        for scope, limit in zip((here, there), limits, strict=True):
            await back(scope, limit)

        assert sum([await admitted(limit, 150) for limit in limits]) == 100, "a new Redis"
        assert (here.statistics().losses, there.statistics().losses) == (1, 1)


async def test_a_redis_that_hangs_costs_one_moment_and_then_nothing(redis_server):
    async with scope_of(redis_server, timeout=0.05, rest=3600) as scope:
        limit = GCRA(5, 3600, burst=5, scope=scope)
        redis_server.pause()
        first = await asyncio.gather(*[limit.decide() for _ in range(20)])
        assert sum(wait == 0 for wait in first) == 5

        decision = limit.decide()
        with pytest.raises(StopIteration) as told:
            decision.send(None)  # answered without a single wait
        assert told.value.value > 0
        redis_server.resume()
        assert scope.statistics().alone == 21


async def test_one_looks_for_all(redis_server):
    async with scope_of(redis_server) as scope:
        limit = GCRA(1, 3600, scope=scope)
        redis_server.stop()
        await limit.decide()
        await asyncio.gather(*[limit.decide() for _ in range(50)])
        looks = [task for task in asyncio.all_tasks() if task.get_name() == "redis limits"]
        assert len(looks) <= 1
        redis_server.start()
        await back(scope, limit)


async def test_a_redis_that_may_not_write_is_away(redis_server):
    async with scope_of(redis_server) as scope:
        limit = GCRA(1, 3600, scope=scope)
        writer = redis_py.Redis.from_url(redis_server.url)
        await writer.execute_command("REPLICAOF", "127.0.0.1", "1")
        await limit.decide()
        assert scope.statistics().away
        for _ in range(5):
            await limit.decide()
            await asyncio.gather(
                *[task for task in asyncio.all_tasks() if task.get_name() == "redis limits"]
            )
        assert scope.statistics().away, "it answers, and cannot decide"
        await writer.execute_command("REPLICAOF", "NO", "ONE")
        await back(scope, limit)
        await writer.aclose()


async def test_a_client_of_redis_py_is_a_scope(redis_server):
    client = redis_py.Redis.from_url(redis_server.url)
    limit = SlidingWindow(2, 3600, scope=client)
    assert [await limit.decide() == 0 for _ in range(3)] == [True, True, False]
    with pytest.raises(RateLimited):
        await limit.acquire()
    await client.aclose()


async def test_turns_are_waited_for(redis_server):
    async with scope_of(redis_server) as scope:
        bucket = LeakyBucket(1000, scope=scope, burst=100)
        await asyncio.gather(*[bucket.acquire() for _ in range(20)])
        assert bucket.statistics() == LimitStatistics(20, 0, 0, 0)


async def test_who_cannot_wait_is_told(redis_server):
    async with scope_of(redis_server) as scope:
        with pytest.raises(Misused, match="await"):
            GCRA(1, scope=scope).try_acquire()


async def test_closing_ends_its_look(redis_server):
    scope = scope_of(redis_server, timeout=30)
    limit = GCRA(1, 3600, scope=scope)
    redis_server.stop()
    await limit.decide()
    while scope._look is None:
        await limit.decide()
    await scope.aclose()
    await asyncio.wait([scope._look])


@given(
    st.sampled_from(["gcra", "leaky", "window"]),
    st.integers(1, 10_000),
    st.integers(1, 1000),
    st.integers(1, 64),
)
def test_shares_are_no_more_than_the_whole(law, rate, burst, instances):
    part, per, parts_burst = share(law, rate, 1.0, burst, instances)

    assert part / per * instances <= rate * (1 + 1e-9)
    assert burst <= parts_burst * instances < burst + instances
    if law == "window":
        assert part == int(part)
        assert part >= 1


@pytest.mark.parametrize("settings", [{"instances": 0}, {"timeout": 0}, {"rest": 0}], ids=str)
def test_what_cannot_be_is_refused(settings):
    with pytest.raises(BadSettings):
        RedisScope("redis://nowhere", **settings)


def test_a_scope_begins_there():
    assert RedisScope("redis://nowhere").statistics() == RedisStatistics(False, 0, 0, 0)
    assert rule("leaky", 10, 1, 3).second == 300_000
