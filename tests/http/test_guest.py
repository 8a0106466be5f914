"""The application under another ASGI server: the same routes, the same rules."""

import asyncio
import contextlib
import logging
import socket
import threading
from typing import Annotated

import httpx
import msgspec
import pytest
import uvicorn
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.testclient import TestClient as StarletteClient
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect as Gone

from megahertz import (
    App,
    Depends,
    Events,
    FileResponse,
    HTTPError,
    Policy,
    Request,
    Rooms,
    StreamingResponse,
    WebSocket,
)
from megahertz.engine import Exchange, Socket
from megahertz.errors import Misused
from megahertz.http.guest import GuestExchange
from megahertz.http.guest_socket import GuestRooms, GuestSocket
from megahertz.testing import Client


class Order(msgspec.Struct):
    sku: int


def make(folder=None):
    rooms = Rooms()
    app = App(resources=[rooms])

    @app.get("/items/{sku}")
    async def item(sku: int, request: Request, full: bool = False) -> dict[str, object]:
        return {"sku": sku, "full": full, "agent": request.headers.get("x-agent")}

    @app.get("/bare")
    async def bare() -> str:
        return "bare"

    @app.get("/thread")
    def thread() -> bytes:
        return threading.current_thread().name.encode()

    @app.post("/orders", status_code=201)
    async def order(order: Order) -> Order:
        return order

    @app.post("/size", body_bytes=200_000)
    async def size(request: Request) -> int:
        return sum([len(piece) async for piece in request.stream()])

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(str(number) for number in range(1_000))

    @app.get("/events")
    async def events() -> Events:
        async def numbers():
            yield 1
            yield 2

        return Events(numbers())

    @app.get("/url")
    async def url(request: Request) -> list[object]:
        return [str(request.url), request.client is not None, request.path_params]

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("secret")

    @app.websocket("/echo")
    async def echo(websocket: WebSocket, prefix: str = "") -> None:
        await websocket.accept((*websocket.subprotocols, None)[0])
        rooms["all"].join(websocket)
        async for message in websocket:
            if message == "all":
                assert await rooms["all"].broadcast("everybody") == len(rooms["all"])
            elif message == "close":
                await websocket.close(4001, "as asked")
            elif message == "fail":
                raise ValueError("secret")
            else:
                await websocket.send(prefix + message if isinstance(message, str) else message)

    @app.websocket("/denied")
    async def denied(websocket: WebSocket) -> None:
        raise HTTPError(401, "who?")

    @app.socket("/callbacks")
    class Callbacks:
        async def opened(self, websocket: WebSocket, name: str = "nobody") -> None:
            websocket.state.name = name

        async def received(self, websocket, message):
            if message == "fail":
                raise ValueError("secret")
            await websocket.send(f"{websocket.state.name}: {message}")

        def closed(self, websocket, code, reason):
            app.state.closed = (websocket.state.name, code)

    if folder is not None:
        app.files("/files", folder)

        @app.get("/file")
        async def file() -> FileResponse:
            return FileResponse(folder / "large.txt")

    return app


def public(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("guest", "native"),
    [(GuestExchange({"type": "http"}, None, None, None, None), Exchange),
     (GuestSocket(GuestRooms(), None, None, None), Socket)],
    ids=["exchange", "socket"],
)  # fmt: skip
def test_what_stands_in_has_every_name(guest, native):
    assert public(native) <= public(guest)


@contextlib.contextmanager
def served_by_uvicorn(app):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        config = uvicorn.Config(app, log_level="critical", lifespan="on", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{sock.getsockname()[1]}") as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def served_by_the_test_client(app):
    with StarletteClient(app, raise_server_exceptions=False) as client:
        yield client


@contextlib.contextmanager
def served_by_ourselves(app):
    async def asgi(scope, receive, send):
        await app(scope, receive, send)

    with Client(asgi) as client:
        yield client


@pytest.mark.parametrize(
    "served",
    [served_by_uvicorn, served_by_the_test_client, served_by_ourselves],
    ids=["uvicorn", "starlette", "megahertz"],
)
def test_requests_are_answered_as_by_the_engine(served, tmp_path, caplog):
    (tmp_path / "large.txt").write_bytes(b"line of text\n" * 50_000)
    app = make(tmp_path)
    with Client(app) as engine, served(app) as host:
        for method, path, options in [
            ("GET", "/items/3?full=yes", {"headers": {"x-agent": "a"}}),
            ("GET", "/items/three?full=maybe", {}),
            ("GET", "/items/a%2Fb", {}),
            ("GET", "/bare", {}),
            ("HEAD", "/bare", {}),
            ("GET", "/stream", {}),
            ("HEAD", "/stream", {}),
            ("GET", "/events", {}),
            ("GET", "/broken", {}),
            ("GET", "/nope", {}),
            ("PUT", "/bare", {}),
            ("GET", "/echo", {}),
            ("POST", "/orders", {"json": {"sku": 1}}),
            ("POST", "/orders", {"json": {"sku": "1"}}),
            ("POST", "/orders", {"content": b"x" * 2_000_000}),
            ("POST", "/size", {"content": b"x" * 150_000}),
            ("POST", "/size", {"content": b"x" * 250_000}),
            ("GET", "/file", {}),
            ("HEAD", "/file", {}),
            ("GET", "/file", {"headers": {"range": "bytes=5-9,20-24"}}),
            ("GET", "/files/large.txt", {"headers": {"range": "bytes=5-9"}}),
            ("GET", "/files/nope.txt", {}),
        ]:
            ours, theirs = (client.request(method, path, **options) for client in (engine, host))
            assert theirs.status_code == ours.status_code, path
            kinds = ("content-type", "allow", "etag", "content-range", "cache-control")
            if "byteranges" not in ours.headers.get("content-type", ""):
                assert theirs.content == ours.content, path
                for name in kinds:
                    assert theirs.headers.get(name) == ours.headers.get(name), (path, name)
        assert host.get("/thread").text.startswith("megahertz_")
        url, known, params = host.get("/url?a=1").json()
        assert (url.endswith("/url?a=1"), known, params) == (True, True, {})


def test_websockets_under_the_test_client(caplog):
    app = make()
    with StarletteClient(app) as client:
        with client.websocket_connect("/echo?prefix=_", subprotocols=["chat"]) as one:
            assert one.accepted_subprotocol == "chat"
            one.send_text("a")
            assert one.receive_text() == "_a"
            one.send_bytes(b"b")
            assert one.receive_bytes() == b"b"
            with client.websocket_connect("/echo") as two:
                two.send_text("all")
                assert one.receive_text() == two.receive_text() == "everybody"
            one.send_text("close")
            with pytest.raises(Gone) as gone:
                one.receive_text()
            assert (gone.value.code, gone.value.reason) == (4001, "as asked")
        with client.websocket_connect("/echo") as three:
            three.send_text("fail")
            with pytest.raises(Gone) as gone:
                three.receive_text()
            assert gone.value.code == 1011
        with client.websocket_connect("/callbacks?name=ann") as four:
            four.send_text("a")
            assert four.receive_text() == "ann: a"
            four.close(3000)
        with client.websocket_connect("/callbacks") as five:
            five.send_text("fail")
            with pytest.raises(Gone) as gone:
                five.receive_text()
            assert gone.value.code == 1011
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/denied"):
            pass
        assert refused.value.status_code == 401
        with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/no"):
            pass
        assert refused.value.status_code == 404
    assert app.state.closed == ("nobody", 1011)


def test_starlettes_middleware_goes_around_it():
    async def dispatch(request, call_next):
        response = await call_next(request)
        response.headers["x-around"] = "1"
        return response

    app = GZipMiddleware(BaseHTTPMiddleware(make(), dispatch=dispatch))
    with Client(app) as client:
        reply = client.get("/items/3")
        assert (reply.json()["sku"], reply.headers["x-around"]) == (3, "1")
        reply = client.get("/stream", headers={"accept-encoding": "gzip"})
        assert reply.headers["content-encoding"] == "gzip"


async def test_httpx_asks_without_a_lifespan():
    app = make()

    async def pool() -> str:
        return "never"

    @app.get("/pool")
    async def which(pool: Annotated[str, Depends(pool, scope="app")]) -> str:
        return pool

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/items/3")).json()["sku"] == 3
        assert (await client.post("/size", content=b"x" * 100_000)).json() == 100_000
        assert (await client.get("/pool")).status_code == 500


async def test_overrides_count_from_the_next_request_on():
    async def user() -> str:
        return "ann"

    app = App()

    @app.get("/")
    async def handler(user: Annotated[str, Depends(user)]) -> str:
        return user

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/")).text == "ann"
        app.dependency_overrides[user] = lambda: "bob"
        assert (await client.get("/")).text == "bob"
        app.dependency_overrides.clear()
        assert (await client.get("/")).text == "ann"


class Host:
    """An ASGI server of which the test decides everything."""

    def __init__(self, app, path="/", *, kind="http", method="GET", headers=(), **scope):
        self.incoming, self.sent = asyncio.Queue(), []
        self.news = asyncio.Event()
        self.held = asyncio.Event()
        self.held.set()
        self.failing = False
        self.scope = {
            "type": kind,
            "asgi": {"version": "3.0"},
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            **scope,
        }
        self.task = asyncio.create_task(app(self.scope, self.incoming.get, self.send))

    async def send(self, message):
        await self.held.wait()
        if self.failing:
            raise OSError("gone")
        self.sent.append(message)
        self.news.set()

    def put(self, kind, **fields):
        self.incoming.put_nowait({"type": kind, **fields})

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - what it waits for is not ours to signal
                await asyncio.sleep(0)

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.sent)


def waiting(app, ended, path="/", **options):
    reached = asyncio.Event()

    @app.get(path, **options)
    async def handler() -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            ended.append(error.args)
            raise

    return reached


async def test_a_client_that_leaves_cancels_its_handler():
    app, ended = App(), []
    reached = waiting(app, ended)
    host = Host(app)
    host.put("http.request")
    await reached.wait()
    host.put("http.disconnect")
    await host.task
    assert (ended, host.sent) == ([("client disconnected",)], [])


async def test_a_deadline_is_kept():
    app, ended = App(), []
    waiting(app, ended, policy=Policy(deadline=0.01))
    host = Host(app)
    host.put("http.request")
    await host.task
    assert (ended, host.sent[0]["status"]) == ([("deadline exceeded",)], 504)


async def test_a_host_that_stops_cancels_its_handler():
    app, ended = App(), []
    reached = waiting(app, ended)
    host = Host(app)
    host.put("http.request")
    await reached.wait()
    host.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await host.task
    assert ended == [("server closed",)]


async def test_a_client_that_leaves_half_way_through_its_body_is_nobody():
    app = App()

    @app.post("/")
    async def handler(order: Order) -> None:
        raise AssertionError("not reached")

    host = Host(app, method="POST")
    host.put("http.request", body=b"{", more_body=True)
    host.put("http.disconnect")
    await host.task
    assert host.sent == []


async def test_a_slow_host_slows_the_stream():
    app, made = App(), []

    @app.get("/")
    async def handler() -> StreamingResponse:
        async def pieces():
            for number in range(100):
                made.append(number)
                yield b"x" * 10_000

        return StreamingResponse(pieces())

    host = Host(app)
    host.held.clear()
    host.put("http.request")
    await host.until(lambda: len(made) > 5)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(made) < 10
    host.held.set()
    await host.task
    assert len(host.body) == 1_000_000


async def test_a_slow_handler_slows_the_sender():
    app, go = App(), asyncio.Event()

    @app.post("/", body_bytes=1_000_000)
    async def handler(request: Request) -> int:
        await go.wait()
        return sum([len(piece) async for piece in request.stream()])

    host = Host(app, method="POST", headers=[("content-length", "300000")])
    for number in range(3):
        host.put("http.request", body=b"x" * 100_000, more_body=number < 2)
    await host.until(lambda: host.incoming.qsize() == 2)
    for _ in range(20):
        await asyncio.sleep(0)
    assert host.incoming.qsize() == 2
    go.set()
    await host.task
    assert host.body == b"300000"


async def test_a_host_that_refuses_to_send_has_lost_its_client():
    app, ended = App(), []

    @app.get("/")
    async def handler() -> StreamingResponse:
        async def pieces():
            try:
                while True:
                    yield b"x"
                    await asyncio.sleep(0)
            finally:
                ended.append("stream")

        return StreamingResponse(pieces())

    host = Host(app)
    host.put("http.request")
    await host.until(lambda: len(host.sent) > 3)
    host.failing = True
    await host.task
    assert ended == ["stream"]


async def test_half_an_answer_is_the_hosts_to_cut(caplog):
    app = App()

    @app.get("/")
    async def handler() -> StreamingResponse:
        async def pieces():
            yield b"x" * 10_000
            raise ValueError("a bug")

        return StreamingResponse(pieces())

    host = Host(app)
    host.put("http.request")
    with pytest.raises(ValueError, match="a bug"):
        await host.task
    assert host.sent[-1]["more_body"]


async def test_ends_come_after_the_answer_here_too():
    app, seen = App(), []

    async def ring(request):
        yield
        seen.append(host.sent[-1]["more_body"])

    app.layer(ring)
    app.get("/")(lambda: "ok")
    host = Host(app)
    host.put("http.request")
    await host.task
    assert host.body == b"ok"
    assert seen == [False]


async def test_below_the_root_path_of_a_host():
    app = App()

    @app.get("/items/{name}")
    async def item(name: str, request: Request) -> list[str]:
        return [name, request.url.path]

    for scope in (
        {"path": "/api/items/a/b", "raw_path": b"/api/items/a%2Fb"},
        {"path": "/api/items/c", "raw_path": b"/%61pi/items/c"},
        {"path": "/api/items/c"},
    ):
        host = Host(app, root_path="/api", **scope)
        host.put("http.request")
        await host.task
        assert msgspec.json.decode(host.body)[0] in ("a/b", "c")


async def test_a_lifespan_that_fails_is_told():
    class Failing:
        async def __aenter__(self):
            raise Misused("no disk")

        async def __aexit__(self, *exc):
            raise Misused("no disk")

    host = Host(App(resources=[Failing()]), kind="lifespan")
    host.put("lifespan.startup")
    with pytest.raises(Misused):
        await host.task
    assert host.sent == [{"type": "lifespan.startup.failed", "message": "no disk"}]


async def test_a_lifespan_that_fails_at_its_end_is_told():
    class Failing:
        async def __aenter__(self): ...

        async def __aexit__(self, *exc):
            raise Misused("no disk")

    host = Host(App(resources=[Failing()]), kind="lifespan")
    host.put("lifespan.startup")
    host.put("lifespan.shutdown")
    with pytest.raises(Misused):
        await host.task
    assert [message["type"] for message in host.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.failed",
    ]


async def test_a_scope_of_another_kind_is_refused():
    with pytest.raises(NotImplementedError, match="webtransport"):
        await Host(App(), kind="webtransport").task


async def test_a_websocket_without_the_denial_extension_is_closed():
    app = App()
    host = Host(app, kind="websocket")
    host.put("websocket.connect")
    await host.task
    assert host.sent == [{"type": "websocket.close", "code": 1000, "reason": ""}]


async def test_a_websocket_that_is_not_read_slows_its_sender():
    app, go, got = App(), asyncio.Event(), []

    @app.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await go.wait()
        got.extend([message async for message in websocket])

    host = Host(app, kind="websocket")
    host.put("websocket.connect")
    for number in range(50):
        host.put("websocket.receive", text=str(number))
    host.put("websocket.disconnect", code=1001)
    await host.until(lambda: host.incoming.qsize() < 40)
    for _ in range(20):
        await asyncio.sleep(0)
    assert host.incoming.qsize() > 30
    go.set()
    await host.task
    assert got == [str(number) for number in range(50)]


async def test_a_websocket_whose_host_is_slow_makes_its_handler_wait():
    app, sent = App(), []

    @app.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        for number in range(100):
            await websocket.send("x" * 10_000)
            sent.append(number)

    host = Host(app, kind="websocket")
    host.put("websocket.connect")
    await host.until(lambda: bool(host.sent))
    host.held.clear()
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(sent) < 30
    host.held.set()
    await host.task
    assert len(sent) == 100


async def test_an_error_is_logged_once(caplog):
    app = make()
    host = Host(app, "/broken")
    host.put("http.request")
    with caplog.at_level(logging.ERROR):
        await host.task
    assert host.sent[0]["status"] == 500
    assert caplog.text.count("ValueError: secret") == 1
