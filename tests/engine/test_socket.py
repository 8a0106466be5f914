"""The engine's WebSockets without an application, in the clear and over TLS."""

import aiohttp
import pytest

from megahertz.engine import SocketSettings
from tests.engine.test_tls import client as trusting
from tests.engine.test_tls import tls  # noqa: F401 - a fixture

SETTINGS = SocketSettings(compress=False)


async def echo(exchange):
    socket = exchange.upgrade(SETTINGS, [(b"x-secure", str(exchange.secure).encode())])
    while socket.ended is None:
        while (message := socket.take()) is not None:
            while not (sent := socket.send(message)):
                assert sent is not None
                await socket.drain()
        await socket.wait()


async def flood(exchange):
    socket = exchange.upgrade(SETTINGS, [])
    for number in range(200):
        while not socket.send(str(number).ljust(60_000, ".")):
            await socket.drain()


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_messages_come_back_whole(serve, tls, secure):  # noqa: F811
    async with (
        serve({"(websocket) /": echo}, tls=tls if secure else None) as site,
        aiohttp.ClientSession() as session,
    ):
        scheme = "https" if secure else "http"
        url, context = f"{scheme}://localhost:{site.port}/", trusting()
        async with session.ws_connect(url, ssl=context, max_msg_size=0) as peer:
            assert peer._response.headers["x-secure"] == str(secure)
            for size in (0, 1, 16_000, 70_000, 1_000_000):
                await peer.send_bytes(b"x" * size)
                assert await peer.receive_bytes() == b"x" * size
            for number in range(100):
                await peer.send_str(str(number))
            assert [int(await peer.receive_str()) for _ in range(100)] == list(range(100))


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_a_sender_waits_for_a_slow_reader(serve, tls, secure):  # noqa: F811
    async with (
        serve({"(websocket) /": flood}, tls=tls if secure else None) as site,
        aiohttp.ClientSession() as session,
    ):
        scheme = "https" if secure else "http"
        url, context = f"{scheme}://localhost:{site.port}/", trusting()
        async with session.ws_connect(url, ssl=context) as peer:
            got = [int((await peer.receive_str()).rstrip(".")) for _ in range(200)]
            assert got == list(range(200))
            assert (await peer.receive()).type is aiohttp.WSMsgType.CLOSE
