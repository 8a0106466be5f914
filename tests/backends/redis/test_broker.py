import asyncio

import pytest

from megahertz.backends import RedisBroker
from megahertz.errors import ConnectError, RemoteError
from megahertz.types import Broker


async def test_every_subscriber_gets_what_is_published(redis_server):
    broker: Broker = RedisBroker(redis_server.url)
    here, there = asyncio.Queue(), asyncio.Queue()
    async with broker.subscribe("a", here.put_nowait):
        async with broker.subscribe("a", there.put_nowait):
            await broker.publish("a", b"\0one")
            assert (await here.get(), await there.get()) == (b"\0one", b"\0one")
        await broker.publish("b", b"elsewhere")
        await broker.publish("a", b"two")
        assert await here.get() == b"two"
    assert there.empty()


async def test_an_error_of_the_body_is_the_bodys(redis_server):
    with pytest.raises(OSError, match="mine"):
        async with RedisBroker(redis_server.url).subscribe("a", print):
            raise OSError("mine")


async def test_redis_is_not_there(redis_server):
    redis_server.stop()
    broker = RedisBroker(redis_server.url)
    with pytest.raises(ConnectError):
        await broker.publish("a", b"x")
    with pytest.raises(ConnectError):
        async with broker.subscribe("a", print):
            pytest.fail("it is not there")
    redis_server.start()
    await broker.publish("a", b"x")
    await broker._redis.aclose()


async def test_redis_refuses(redis_server):
    broker = RedisBroker(redis_server.url)
    await broker._redis.execute("ACL", "SETUSER", "default", "-publish")
    with pytest.raises(RemoteError):
        await broker.publish("a", b"x")
    await broker._redis.aclose()


async def test_a_subscriber_that_is_cut_off_subscribes_again(redis_server, caplog):
    broker, heard = RedisBroker(redis_server.url), asyncio.Queue()
    async with broker.subscribe("a", heard.put_nowait):
        await broker._redis.execute("CLIENT", "KILL", "TYPE", "pubsub")
        while heard.empty():  # what is published meanwhile is lost
            await broker.publish("a", b"again")
        assert await heard.get() == b"again"
    assert "subscribing again" in caplog.text


async def test_a_redis_that_says_nothing(redis_server):
    redis_server.pause()
    broker = RedisBroker(redis_server.url, timeout=0.05)
    with pytest.raises(ConnectError):
        async with broker.subscribe("a", print):
            pytest.fail("it is not there")
    redis_server.resume()
