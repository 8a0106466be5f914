"""Pipelines, transactions and WATCH, on a real server."""

import asyncio

import pytest

from megahertz.backends import Redis
from megahertz.errors import CompareFailed, Misused, ReplyError


@pytest.mark.parametrize("transaction", [True, False])
async def test_replies_in_order_each_as_its_command_gives_it(store, transaction):
    async with Redis(port=store.port) as redis, redis.pipeline(transaction=transaction) as pipe:
        pipe.set("a", 1).incr("a").get("a").set("a", 2, nx=True).ttl("a")
        assert len(pipe) == 5 and pipe
        assert await pipe.execute() == [True, 2, b"2", None, -1]
        assert await pipe.execute() == []
        assert await pipe.execute_command("CONFIG GET", "save").execute() == [{b"save": b""}]


@pytest.mark.parametrize("transaction", [True, False])
async def test_a_command_that_fails_leaves_the_others(store, transaction):
    async with Redis(port=store.port) as redis:
        pipe = redis.pipeline(transaction=transaction)
        pipe.set("a", "x").incr("a").set("b", 1)
        with pytest.raises(ReplyError, match=r"ERR value is not an integer.*command 2.*INCRBY a 1"):
            await pipe.execute()
        assert await redis.get("b") == b"1"
        found = await pipe.set("a", "y").incr("a").execute(raise_on_error=False)
        assert found[0] is True and isinstance(found[1], ReplyError)


async def test_a_transaction_with_no_command_is_not_done(store):
    async with Redis(port=store.port) as redis:
        pipe = redis.pipeline().set("a", 1)
        pipe.execute_command("NONSENSE")
        with pytest.raises(ReplyError, match=r"unknown command.*command 2"):
            await pipe.execute()
        assert await redis.get("a") is None


async def test_transactions_of_many_tasks_do_not_mix(store):
    async with Redis(port=store.port) as redis:

        async def swap(number):
            async with redis.pipeline() as pipe:
                return await pipe.set("k", number).get("k").execute()

        found = await asyncio.gather(*(swap(number) for number in range(200)))
        assert found == [[True, b"%d" % number] for number in range(200)]


async def test_watch_sees_who_was_faster(store):
    async with Redis(port=store.port) as redis:
        await redis.set("stock", 5)
        async with redis.pipeline() as pipe:
            await pipe.watch("stock")
            left = int(await pipe.get("stock"))
            await redis.set("stock", 1)
            pipe.multi()
            pipe.set("stock", left - 1)
            with pytest.raises(CompareFailed):
                await pipe.execute()
            await pipe.watch("stock")
            assert await pipe.get("stock") == b"1"
            await pipe.unwatch()
            assert redis.statistics()["own_busy"] == 0
        assert redis.statistics()["own"] == 1


async def test_a_transaction_is_tried_until_nobody_else_was_faster(store):
    async with Redis(port=store.port) as redis:
        await redis.set("n", 0)

        async def add(pipe):
            value = int(await pipe.get("n"))
            pipe.multi()
            pipe.set("n", value + 1)
            return value

        found = await asyncio.gather(*(redis.transaction(add, "n") for _ in range(10)))
        assert found == [[True]] * 10 and await redis.get("n") == b"10"
        assert await redis.transaction(add, "n", value_from_callable=True) == 10
        assert await redis.transaction(lambda pipe: pipe.get("n")) == [b"11"]


async def test_out_of_order(store):
    async with Redis(port=store.port, decode_responses=True) as redis:
        pipe = redis.pipeline().set("a", 1)
        with pytest.raises(Misused, match="watch"):
            await pipe.watch("a")
        with pytest.raises(Misused, match="multi"):
            pipe.multi()
        with pytest.raises(Misused, match="DUMP"):
            pipe.dump("a")
        await pipe.aclose()
        with pytest.raises(TypeError):
            await redis.pipeline().set("a", None).execute()
