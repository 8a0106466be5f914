"""What clients see of a server that stops: nobody who does as HTTP says loses a request."""

import asyncio
import contextlib
import socket

import aiohttp
import pytest

from megahertz.engine import Answer, Route, Server, SocketSettings

from .conftest import Peer, Plain, until
from .test_stop import ASK, Gate

EVENTS = [(b"content-type", b"text/event-stream")]
SETTINGS = SocketSettings(compress=False)


async def hello():
    return Answer("hello")


async def test_a_request_that_was_on_its_way_when_the_server_stopped_is_answered(serve):
    """Its client was told that the connection stays, and could not know better."""
    async with serve({"GET /": (hello, {"bare": True})}) as site:
        peer = await site.peer()
        assert "connection" not in (await peer.get("/")).fields
        stopping = asyncio.create_task(site.server.stop())
        await until(lambda: site.server._stopped)

        reply = await peer.get("/")

        assert (reply.body, reply.fields["connection"]) == (b"hello", "close")
        assert await peer.closed() == b""
        await stopping


async def test_an_answer_that_said_keep_alive_is_followed_by_another(serve):
    gate = asyncio.Event()

    async def stream(exchange):
        exchange.start(200, [])
        exchange.write(b"one")
        await gate.wait()
        exchange.write(b"two")

    async with serve({"GET /stream": stream, "GET /": (hello, {"bare": True})}) as site:
        peer = await site.peer()
        await peer.send(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: site.server.statistics().running == 1)
        stopping = asyncio.create_task(site.server.stop())
        await until(lambda: site.server._stopped)
        gate.set()

        first = await peer.reply()
        second = await peer.get("/")

        assert (first.body, "connection" in first.fields) == (b"onetwo", False)
        assert (second.body, second.fields["connection"]) == (b"hello", "close")
        await stopping


async def test_who_queues_is_left_to_the_successor(serve):
    """Both accept from one socket, as generations of a worker do."""
    async with contextlib.AsyncExitStack() as stack:
        sock = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        gate = Gate()
        old = Plain([_route(gate.__call__)])
        new = Plain([_route(hello)])
        server = await stack.enter_async_context(Server(old, [sock.dup()]))
        busy = Peer(*await asyncio.open_connection(*sock.getsockname()))
        await busy.send(ASK)
        await until(lambda: server.statistics().running == 1)

        stopping = asyncio.create_task(server.stop(handed_over=True))
        await until(lambda: server._stopped)
        late = Peer(*await asyncio.open_connection(*sock.getsockname()))
        await late.send(ASK)
        await stack.enter_async_context(Server(new, [sock.dup()]))

        assert (await late.reply()).body == b"hello"
        assert server.statistics().accepted == 1
        gate.open.set()
        assert (await busy.reply()).body == b"done"
        await stopping
        busy.close()
        late.close()


def _route(endpoint):
    return Route(methods=("GET",), pattern="/", endpoint=endpoint, bare=True)


@pytest.mark.parametrize("spread", [0.0, 0.02, 1000.0], ids=["at once", "in turn", "cut short"])
async def test_every_websocket_is_told_to_come_back(serve, spread):
    """Also those whose turn would come after the grace."""

    async def attend(exchange):
        sock = exchange.upgrade(SETTINGS, [])
        while sock.ended is None:
            sock.take()
            await sock.wait()

    async with serve({"(websocket) /": attend}) as site, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{site.port}/"
        peers = [await session.ws_connect(url) for _ in range(5)]

        stopping = asyncio.create_task(site.server.stop(0.2, spread=spread))

        for peer in peers:
            message = await peer.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1012)
        await stopping


@pytest.mark.parametrize("count", [1, 30])
async def test_event_streams_are_ended_whole(serve, count):
    """They never end by themselves: waiting for them is how servers hang (uvicorn, issue 2829)."""
    ended = []

    async def tick(exchange):
        exchange.start(200, EVENTS)
        exchange.write(b"data: 1\n\n")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            ended.append(error.args)
            raise

    async with serve({"GET /": tick}) as site:
        peers = [await site.peer() for _ in range(count)]
        for peer in peers:
            await peer.send(ASK)
        await until(lambda: site.server.statistics().running == count)

        await site.server.stop(60.0, spread=0.3)

        assert ended == [("server closed",)] * count
        for peer in peers:
            assert (await peer.reply()).body == b"data: 1\n\n"


async def test_a_stream_of_something_else_has_the_whole_grace(serve):
    gate = asyncio.Event()

    async def download(exchange):
        exchange.start(200, [(b"content-type", b"text/plain")])
        await gate.wait()
        exchange.write(b"all of it")

    async with serve({"GET /": download}) as site:
        peer = await site.peer()
        await peer.send(ASK)
        await until(lambda: site.server.statistics().running == 1)
        stopping = asyncio.create_task(site.server.stop(60.0, spread=0.0))
        await until(lambda: site.server._stopped)
        gate.set()
        assert (await peer.reply()).body == b"all of it"
        await stopping
