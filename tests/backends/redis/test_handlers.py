"""Handlers that wait for Redis: their tasks are stepped from the batch of replies."""

import asyncio
import contextvars

import pytest

from megahertz import App, Policy
from megahertz.backends import Redis
from megahertz.testing import AsyncTestClient

from .fake import faked

REQUEST = contextvars.ContextVar("REQUEST")


def bulk(octets: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(octets), octets)


async def test_each_handler_has_its_own_reply_context_and_task(store):
    redis = Redis(port=store.port)
    app = App()
    tasks = set()

    @app.get("/{key}")
    async def get(key: str) -> str:
        REQUEST.set(key)
        await redis.set(key, f"value of {key}")
        tasks.add(asyncio.current_task())
        async with asyncio.timeout(10):
            value = await redis.get(key)
        assert REQUEST.get() == key
        assert asyncio.current_task() in tasks
        return value.decode()

    async with AsyncTestClient(app) as client, redis:
        answers = await asyncio.gather(*(client.get(f"/k{n}") for n in range(100)))
        assert [answer.text for answer in answers] == [f"value of k{n}" for n in range(100)]
        assert asyncio.current_task() is not None
        assert len(tasks) == 100


async def test_a_deadline_or_an_error_of_one_handler_is_no_others():
    async with faked() as (fake, redis):
        app = App(policy=Policy(deadline=0.05))

        @app.get("/late")
        async def late() -> str:
            return (await redis.get("late")).decode()

        @app.get("/wrong", policy=Policy.off())
        async def wrong() -> str:
            return (await redis.incr("wrong")).decode()

        @app.get("/right", policy=Policy.off())
        async def right() -> str:
            return (await redis.get("right")).decode()

        async with AsyncTestClient(app, raise_server_exceptions=False) as client:
            waiting = [asyncio.create_task(client.get(f"/{n}")) for n in ("late", "wrong", "right")]
            assert (await waiting[0]).status_code == 504
            for _ in waiting:
                await fake.heard.get()
            await fake.say(bulk(b"late"), b"-ERR wrong\r\n", bulk(b"right"))
            assert (await waiting[1]).status_code == 502
            assert (await waiting[2]).text == "right"


async def test_a_handler_asks_again_from_where_it_was_stepped():
    async with faked() as (fake, redis):
        app = App()

        @app.get("/")
        async def chain() -> list[str]:
            return [(await redis.get(n)).decode() for n in range(3)]

        async with AsyncTestClient(app) as client:
            asked = asyncio.create_task(client.get("/"))
            for number in range(3):
                assert await fake.heard.get() == [b"GET", b"%d" % number]
                await fake.say(bulk(b"v%d" % number))
            assert (await asked).json() == ["v0", "v1", "v2"]


async def test_a_reply_of_another_loop_is_refused(store):
    redis = Redis(port=store.port)
    reply = redis.get("a")

    async def elsewhere():
        await reply

    with pytest.raises(RuntimeError, match="different loop"):
        await asyncio.to_thread(asyncio.run, elsewhere())
    assert await reply is None
    await redis.aclose()
