"""Where sessions are kept: what a store has to do, and Redis with several workers."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from megahertz.backends import Redis
from megahertz.cache import MemorySessions, RedisSessions, Remote, new_token
from megahertz.clock import Manual
from megahertz.errors import BackendError, BadSettings
from tests.cache.remotes import heard, remotes, until


@asynccontextmanager
async def machines(url, count=2, *, remote=None, client=None, **options):
    """As many stores, each with a client of its own, that hear each other."""
    async with remotes(url, count, remote=remote, client=client) as pairs:
        found = []
        for redis, level in pairs:
            store = RedisSessions(level, **options)
            store.redis, store.remote = redis, level
            found.append(store)
        await heard(*(store.remote for store in found))
        yield found


@pytest.fixture(params=["memory", "redis", "decoding", "RESP2"])
def stores(request, module_redis):
    @asynccontextmanager
    async def one():
        if request.param == "memory":
            yield MemorySessions()
            return
        client = {"decoding": {"decode_responses": True}, "RESP2": {"protocol": 2}}
        async with machines(module_redis.url, 1, client=client.get(request.param)) as (store,):
            yield store

    return one


async def test_what_a_store_does(stores):
    async with stores() as store:
        token, other = new_token(), new_token()
        assert await store.load(token) is None
        assert not await store.save(token, {"a": b"1"}, (), new=False), "none was begun"
        assert await store.load(token) is None
        assert await store.save(token, {"a": b"1", "b": b"\xff"}, (), new=True)
        assert await store.load(token) == {"a": b"1", "b": b"\xff"}
        assert await store.save(token, {"c": b"3"}, {"a"}, new=False)
        assert await store.load(token) == {"b": b"\xff", "c": b"3"}
        assert await store.save(token, {}, {"b", "c"}, new=False)
        assert await store.load(token) == {}, "without names it is there still"
        assert await store.save(other, {}, (), new=True)
        await store.revoke(token)
        assert await store.load(token) is None and await store.load(other) == {}
        assert not await store.save(token, {"a": b"1"}, (), new=False), "it does not come back"
        assert await store.load(token) is None
        await store.revoke(token)


async def test_a_session_that_is_used_lives():
    clock = Manual()
    store = MemorySessions(ttl=1800, clock=clock)
    await store.save("t", {}, (), new=True)
    for _ in range(5):
        clock.advance(1700)
        assert await store.load("t") == {}
    clock.advance(1800)
    assert await store.load("t") is None


async def test_a_session_is_a_hash_whose_time_begins_anew(module_redis):
    clock = Manual()
    async with machines(module_redis.url, 1, clock=clock) as (store,):
        token = new_token()
        await store.save(token, {"a": b"1"}, (), new=True)
        key = f"session:{token}"
        assert await store.redis.hget(key, "a") == b"1"
        assert 1_700_000 < await store.redis.pttl(key) <= 1_800_000
        await store.redis.pexpire(key, 60_000)
        assert await store.load(token) == {"a": b"1"}
        assert await store.redis.pttl(key) > 1_700_000
        await store.redis.pexpire(key, 60_000)
        clock.advance(299)
        await store.load(token)
        assert await store.redis.pttl(key) <= 60_000, "what is held asks nobody"
        clock.advance(1)
        await store.load(token)
        assert await store.redis.pttl(key) > 1_700_000


async def test_two_that_change_different_names_do_not_undo_each_other(module_redis):
    async with machines(module_redis.url) as (one, two):
        token = new_token()
        await one.save(token, {}, (), new=True)
        await asyncio.gather(
            one.save(token, {"a": b"1"}, (), new=False), two.save(token, {"b": b"2"}, (), new=False)
        )
        await until(lambda: len(two._held) == 0)
        assert await one.load(token) == await two.load(token) == {"a": b"1", "b": b"2"}


async def test_what_one_machine_revokes_another_refuses(module_redis):
    async with machines(module_redis.url, 3) as found:
        token = new_token()
        await found[0].save(token, {"user": b"7"}, (), new=True)
        assert [await store.load(token) for store in found] == [{"user": b"7"}] * 3
        assert [len(store._held) for store in found] == [1, 1, 1]
        await found[0].revoke(token)
        assert await found[0].load(token) is None
        await until(lambda: not any(len(store._held) for store in found))
        assert [await store.load(token) for store in found] == [None] * 3


async def test_a_change_is_seen_by_another_machine(module_redis):
    async with machines(module_redis.url) as (one, two):
        token = new_token()
        await one.save(token, {"a": b"1"}, (), new=True)
        await two.load(token)
        await one.save(token, {"a": b"2"}, (), new=False)
        await until(lambda: len(two._held) == 0)
        assert await two.load(token) == {"a": b"2"}


async def test_a_read_that_a_revocation_overtakes_is_not_held(module_redis):
    async with machines(module_redis.url) as (one, two):
        token = new_token()
        await one.save(token, {"a": b"1"}, (), new=True)
        asked, gate, ask = asyncio.Event(), asyncio.Event(), two.remote.ask

        async def slow(*commands, **options):
            said = await ask(*commands, **options)
            asked.set()
            await gate.wait()
            return said

        two.remote.ask = slow
        reading = asyncio.create_task(two.load(token))
        await asked.wait()
        await one.revoke(token)
        await until(lambda: len(two._flights) == 0)
        gate.set()
        assert await reading == {"a": b"1"}, "it asked before"
        assert await two.load(token) is None


async def test_who_cannot_hear_believes_nothing_that_it_holds(redis_server):
    """Redis says nothing any more; within two heartbeats that is known, and is an error."""
    quick = {"heartbeat": 0.1, "timeout": 1.0, "rest": 0.05}
    async with machines(redis_server.url, 1, remote=quick) as (store,):
        token = new_token()
        await store.save(token, {"a": b"1"}, (), new=True)
        assert await store.load(token) == {"a": b"1"}
        redis_server.pause()
        await until(lambda: not store.remote.heard)
        with pytest.raises(BackendError):
            await store.load(token)
        redis_server.resume()
        await until(lambda: store.remote.heard and not store.remote.rests)
        assert await store.load(token) == {"a": b"1"}


async def test_without_a_local_level_each_request_asks(module_redis):
    async with machines(module_redis.url, 1, local_ttl=0) as (store,):
        token = new_token()
        await store.save(token, {"a": b"1"}, (), new=True)
        await store.load(token)
        assert len(store._held) == 0


async def test_times_that_cannot_be():
    async with Redis("127.0.0.1", 1) as redis:
        for times in ({"ttl": 0}, {"ttl": 10, "local_ttl": 11}, {"ttl": float("inf")}):
            with pytest.raises(BadSettings):
                RedisSessions(Remote(redis), **times)
