"""What lives as long as a client's connection."""

import asyncio
import contextlib
import socket

import httpx
import pytest

from megahertz import App, Request, WebSocket
from megahertz.engine import Server
from megahertz.errors import Overloaded
from megahertz.http.connection import TASKS, Connection
from megahertz.testing import Client


@contextlib.asynccontextmanager
async def serve(app):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        async with Server(app, [sock]) as server:
            yield server, sock.getsockname()
            for peer in PEERS:
                peer.writer.close()
            PEERS.clear()


PEERS = []


class Peer:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def get(self, path="/"):
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return (await self.reader.readexactly(length)).decode()


async def connect(address):
    PEERS.append(Peer(*await asyncio.open_connection(*address)))
    return PEERS[-1]


def counting(happened):
    app, ended = App(), asyncio.Event()

    async def beside():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            happened.append(f"task {error.args[0]}")
            raise

    async def waits():
        await asyncio.sleep(0)
        happened.append("second")

    def last():
        happened.append("first")
        ended.set()

    @app.get("/")
    async def count(request: Request) -> str:
        connection = request.connection
        assert connection is request.connection
        if not hasattr(connection.state, "count"):
            connection.state.count = 0
            connection.create_task(beside(), name="beside")
            connection.on_close(last)
            connection.on_close(waits)
        connection.state.count += 1
        return str(connection.state.count)

    return app, ended


async def test_its_state_is_shared_by_its_requests_and_nobody_else():
    happened = []
    app, ended = counting(happened)
    async with serve(app) as (_, address):
        one, two = await connect(address), await connect(address)
        assert [await one.get(), await one.get(), await two.get()] == ["1", "2", "1"]
        one.writer.close()
        await ended.wait()
        assert sorted(happened) == ["first", "second", "task connection closed"]
        assert happened.index("second") < happened.index("first")
        assert await two.get() == "2"


async def test_a_server_that_stops_ends_it():
    happened = []
    app, ended = counting(happened)
    async with serve(app) as (server, address):
        peer = await connect(address)
        await peer.get()
        await server.stop()
        await ended.wait()
    assert "task connection closed" in happened


async def test_a_client_that_leaves_during_its_first_request_ends_it_too():
    app, reached, happened = App(), asyncio.Event(), []
    ended = asyncio.Event()

    @app.get("/")
    async def handler(request: Request) -> None:
        request.connection.on_close(lambda: (happened.append("closed"), ended.set()))
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            happened.append("handler")

    async with serve(app) as (_, address):
        peer = await connect(address)
        peer.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reached.wait()
        peer.writer.close()
        await ended.wait()
    assert happened == ["handler", "closed"]


async def test_streams_of_http2_share_their_connections():
    happened = []
    app, ended = counting(happened)
    async with serve(app) as (_, (host, port)):
        async with httpx.AsyncClient(http1=False, http2=True) as client:
            texts = [(await client.get(f"http://{host}:{port}/")).text for _ in range(3)]
        await ended.wait()
    assert texts == ["1", "2", "3"]


async def test_one_that_has_closed_already_ends_at_once():
    app, gone, ended, happened = App(), asyncio.Event(), asyncio.Event(), []

    async def ring(request):
        yield
        await gone.wait()
        while not request.connection.closed:  # noqa: ASYNC110 - the engine tells nobody else
            await asyncio.sleep(0)
        happened.append(request.connection.closed)
        request.connection.on_close(ended.set)

    app.layer(ring)
    app.get("/")(lambda: "ok")
    async with serve(app) as (_, address):
        peer = await connect(address)
        assert await peer.get() == "ok"
        peer.writer.close()
        gone.set()
        await ended.wait()
    assert happened == [True]


def test_a_websocket_has_one():
    app, happened = App(), []

    @app.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        websocket.connection.on_close(lambda: happened.append("closed"))
        await websocket.accept()
        await websocket.receive()
        happened.append("received")

    with Client(app) as client, client.websocket_connect("/") as websocket:
        websocket.send_text("a")
    assert happened == ["received", "closed"]


async def test_under_another_server_it_is_as_long_as_the_request():
    app, happened = App(), []

    @app.get("/")
    async def handler(request: Request) -> str:
        request.connection.state.seen = 1
        request.connection.on_close(lambda: happened.append(request.connection.state.seen))
        return "ok"

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test"
    ) as client:
        assert (await client.get("/")).text == "ok"
    await asyncio.sleep(0)
    assert happened == [1]


async def test_errors_are_logged_and_stop_nothing(caplog):
    connection, ended = Connection(), asyncio.Event()

    async def failing():
        raise ValueError("in a task")

    def failing_too():
        raise ValueError("in a callback")

    task = connection.create_task(failing())
    connection.on_close(ended.set)
    connection.on_close(failing_too)
    await asyncio.wait([task])
    connection.end()
    await ended.wait()
    assert "in a task" in caplog.text
    assert "in a callback" in caplog.text


async def test_what_begins_too_late_is_cancelled():
    connection, ended = Connection(), asyncio.Event()
    connection.end()
    task = connection.create_task(asyncio.Event().wait())
    with pytest.raises(asyncio.CancelledError):
        await task
    connection.on_close(ended.set)
    await ended.wait()


async def test_there_is_a_limit():
    connection = Connection()
    for _ in range(TASKS):
        connection.create_task(asyncio.Event().wait())
        connection.on_close(print)
    with pytest.raises(Overloaded):
        connection.create_task(asyncio.Event().wait())
    with pytest.raises(Overloaded):
        connection.on_close(print)
    connection._callbacks.clear()
    connection.end()


async def test_a_server_that_stops_waits_for_callbacks_before_it_closes_what_they_need():
    app, happened = App(), []

    class Pool:
        async def __aenter__(self): ...

        async def __aexit__(self, *exc):
            happened.append("pool closed")

    app = App(resources=[Pool()])

    async def save():
        for _ in range(10):
            await asyncio.sleep(0)
        happened.append("saved")

    @app.get("/")
    async def handler(request: Request) -> str:
        request.connection.on_close(save)
        return "ok"

    async with serve(app) as (server, address):
        peer = await connect(address)
        await peer.get()
        await server.stop()
        assert happened == ["saved", "pool closed"]
