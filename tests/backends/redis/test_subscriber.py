"""Pub/sub on a real server, and on one that says what the test wants."""

import asyncio
import contextlib

import pytest

from megahertz.backends import Redis
from megahertz.backends.redis import subscriber
from megahertz.errors import ConnectError, Misused, ReplyError

from .fake import faked


async def heard(news, count):
    return [await news.get_message(timeout=None) for _ in range(count)]


@pytest.mark.parametrize("protocol", [3, 2])
@pytest.mark.parametrize("decode", [False, True], ids=["bytes", "text"])
async def test_channels_and_patterns(store, protocol, decode):
    def as_said(text):
        return text if decode else text.encode()

    options = {"protocol": protocol, "decode_responses": decode}
    async with Redis(port=store.port, **options) as redis, redis.pubsub() as news:
        assert not news.subscribed and await news.get_message() is None
        await news.subscribe("a", b"b")
        await news.psubscribe("n.*")
        assert [message["type"] for message in await heard(news, 3)] == [
            "subscribe",
            "subscribe",
            "psubscribe",
        ]
        assert set(news.channels) == {as_said("a"), as_said("b")}
        assert set(news.patterns) == {as_said("n.*")}
        await redis.publish("a", "one")
        await redis.publish("n.x", "two")
        assert await heard(news, 2) == [
            message("message", None, as_said("a"), as_said("one")),
            message("pmessage", as_said("n.*"), as_said("n.x"), as_said("two")),
        ]
        await news.unsubscribe("a")
        await news.punsubscribe()
        assert [message["type"] for message in await heard(news, 2)] == [
            "unsubscribe",
            "punsubscribe",
        ]
        await news.ping()
        assert await redis.publish("a", "three") == 0
        await news.unsubscribe()
        last = await heard(news, 1 if protocol == 3 else 2)
        assert last[-1]["type"] == "unsubscribe" and last[0]["type"] in ("unsubscribe", "pong")
        assert [each async for each in news.listen()] == []


def message(kind, pattern, channel, data):
    return {"type": kind, "pattern": pattern, "channel": channel, "data": data}


async def test_handlers(store):
    async with Redis(port=store.port, decode_responses=True) as redis, redis.pubsub() as news:
        got, done = [], asyncio.Event()

        async def last(said):
            got.append(said["data"])
            done.set()

        await news.subscribe(plain=lambda said: got.append(said["data"]))
        await news.psubscribe(**{"n.*": last})
        await news.ssubscribe(shard=lambda said: got.append(said["data"]))
        running = asyncio.create_task(news.run())
        await news.ping()
        await redis.publish("plain", "1")
        await redis.spublish("shard", "2")
        await redis.publish("n.1", "3")
        await done.wait()
        assert sorted(got) == ["1", "2", "3"]
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await news.sunsubscribe()
        await news.subscribe("unhandled")
        with pytest.raises(Misused, match="handler"):
            await news.run()
        with pytest.raises(Misused):
            await news.subscribe()


async def test_errors_of_handlers_may_be_handled(store):
    async with Redis(port=store.port) as redis, redis.pubsub() as news:
        errors = asyncio.Queue()

        def wrong(said):
            raise ValueError(said["data"])

        async def handle(error, _):
            errors.put_nowait(error)

        await news.subscribe(a=wrong)
        running = asyncio.create_task(news.run(exception_handler=handle))
        await news.ping()
        await redis.publish("a", "x")
        assert isinstance(await errors.get(), ValueError)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        running = asyncio.create_task(news.run())
        await redis.publish("a", "x")
        with pytest.raises(ValueError, match="x"):
            await running


async def test_what_was_subscribed_to_is_again_after_a_loss(store):
    async with Redis(port=store.port, backoff=0.0) as redis, quiet(redis) as news:
        await news.subscribe("a")
        await news.psubscribe("b*")
        await news.ping()
        await redis.execute("CLIENT", "KILL", "TYPE", "pubsub")
        while await redis.pubsub_numsub("a") != [(b"a", 1)] or not await redis.pubsub_numpat():
            pass
        await redis.publish("a", "again")
        found = None
        while found is None:
            found = await news.get_message(timeout=None)
        assert found["data"] == b"again"


def quiet(redis):
    return redis.pubsub(ignore_subscribe_messages=True)


async def test_a_loss_is_told():
    async with faked() as (fake, redis), redis.pubsub() as news:
        subscribing = asyncio.create_task(news.subscribe("a"))
        assert await fake.heard.get() == [b"PING"]
        await fake.say(b"+PONG\r\n")
        await subscribing
        assert await fake.heard.get() == [b"SUBSCRIBE", b"a"]
        fake.cut()
        assert (await news.get_message(timeout=None))["type"] == "lost"
        assert await fake.heard.get() == [b"SUBSCRIBE", b"a"]


async def test_a_subscription_that_is_refused(store):
    store.ask("ACL", "SETUSER", "bob", "on", "nopass", "resetchannels", "&b", "~*", "+@all")
    async with Redis(port=store.port, username="bob", password="") as redis, redis.pubsub() as news:
        await news.subscribe("a")
        with pytest.raises(ReplyError, match="NOPERM"):
            await heard(news, 1)


async def test_nobody_there_and_nothing_asked(redis_server):
    redis_server.stop()
    async with Redis.from_url(redis_server.url, retries=1) as redis:
        news = redis.pubsub()
        with pytest.raises(ConnectError):
            await news.ping()
        with pytest.raises(ConnectError):
            await news.subscribe("a")
        await news.aclose()
    redis_server.start()


async def test_who_does_not_listen_makes_the_server_wait(store, monkeypatch):
    monkeypatch.setattr(subscriber, "BUFFER", 10)
    async with (
        Redis(port=store.port) as redis,
        redis.pubsub(ignore_subscribe_messages=True) as news,
    ):
        await news.subscribe("a")
        await news.ping()
        for round_ in range(3):
            pipe = redis.pipeline(transaction=False)
            for number in range(round_ * 100, round_ * 100 + 100):
                pipe.publish("a", number)
            await pipe.execute()
        found = []
        while len(found) < 300:
            said = await news.get_message(timeout=None)
            found += [int(said["data"])] if said else []
        assert found == list(range(300))
        assert await news.get_message(timeout=0.001) is None
