import asyncio
import builtins
import sys
import threading
from contextlib import asynccontextmanager

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request as AsgiRequest
from starlette.responses import JSONResponse as AsgiJson
from starlette.responses import StreamingResponse as AsgiStream
from starlette.routing import Route, WebSocketRoute

import megahertz.testing
from megahertz import App, HTTPError, Request, Response, StreamingResponse, WebSocketDisconnect
from megahertz.errors import Misused
from megahertz.settings import Limits
from megahertz.testing import AsyncTestClient, TestClient, WebSocketDenied
from tests.engine.conftest import until


def make():
    app = App(lifespan=lifespan)
    app.state.entered = False

    @app.post("/echo")
    async def echo(request: Request) -> dict:
        return {
            "url": str(request.url),
            "client": list(request.client or ()),
            "type": request.headers.get("content-type"),
            "body": (await request.body()).decode(),
            "cookies": dict(request.cookies),
            "entered": app.state.entered,
        }

    @app.get("/cookie")
    async def cookie() -> Response:
        return Response("", headers={"set-cookie": "session=1; Path=/", "location": "/"})

    @app.get("/there")
    async def there() -> Response:
        return Response("", 307, {"location": "/hello"})

    @app.get("/hello")
    def hello() -> str:
        return "hello"

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("a bug")

    @app.get("/chosen")
    async def chosen() -> None:
        raise HTTPError(503, "not now")

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def pieces():
            yield b"x" * 100_000
            yield b"x" * 100_000
            raise ValueError("in the middle")

        return StreamingResponse(pieces())

    @app.get("/silent")
    async def silent() -> None:
        await asyncio.Event().wait()

    @app.websocket("/ws")
    async def chat(websocket):
        if "deny" in websocket.query_params:
            raise HTTPError(401, "who are you?")
        await websocket.accept((*websocket.subprotocols, None)[0])
        async for message in websocket:
            if message == "bug":
                raise ValueError("a bug in a socket")
            await websocket.send(message)

    return app


@asynccontextmanager
async def lifespan(app):
    app.state.entered = True
    yield
    app.state.entered = False


@pytest.fixture
def app():
    return make()


@pytest.fixture(params=["in process", "port", "each"])
def client(request, app):
    if request.param == "each":
        yield TestClient(app)
    else:
        with TestClient(app, port=0 if request.param == "port" else None) as client:
            yield client


@pytest.mark.parametrize(
    ("options", "type_", "body"),
    [
        ({"json": {"a": 1}}, "application/json", '{"a":1}'),
        ({"data": {"a": "1"}}, "application/x-www-form-urlencoded", "a=1"),
        ({"content": b"raw"}, None, "raw"),
        ({"content": [b"a", b"b"]}, None, "ab"),
        ({}, None, ""),
    ],
)
def test_what_requests_may_carry(client, options, type_, body):
    said = client.post("/echo", **options).json()
    assert (said["type"], said["body"]) == (type_, body)


def test_files_and_params(client):
    said = client.post("/echo", files={"file": ("a.txt", b"content")}, params={"q": "ü"}).json()
    assert said["url"].endswith("/echo?q=%C3%BC")
    assert 'filename="a.txt"' in said["body"]


def test_cookies_are_kept_and_redirects_followed(client):
    assert client.get("/there").text == "hello"
    assert client.get("/there", follow_redirects=False).status_code == 307
    client.get("/cookie")
    assert client.post("/echo").json()["cookies"] == {"session": "1"}


def test_a_socket(client):
    with client.websocket_connect("/ws", subprotocols=["a", "b"]) as chat:
        assert chat.accepted_subprotocol == "a"
        chat.send_json({"say": "ü"})
        assert chat.receive_json() == {"say": "ü"}
        chat.send_json([1], mode="binary")
        assert chat.receive_json(mode="binary") == [1]


def test_a_socket_that_is_denied_is_an_answer_and_a_disconnect(client):
    with pytest.raises(WebSocketDenied) as caught:
        client.websocket_connect("/ws", params={"deny": "1"})
    assert isinstance(caught.value, HTTPError)
    assert isinstance(caught.value, WebSocketDisconnect)
    assert caught.value.status_code == 401
    assert "who are you?" in caught.value.detail


def test_the_lifespan_is_entered_with_the_client(app):
    assert not TestClient(app).post("/echo").json()["entered"]
    with TestClient(app) as client:
        assert client.post("/echo").json()["entered"]
    assert not app.state.entered


def test_where_a_request_comes_from_and_goes_to(app):
    client = TestClient(app, "https://shop.example", client=("1.2.3.4", 5))
    said = client.post("/echo").json()
    assert (said["url"], said["client"]) == ("https://shop.example/echo", ["1.2.3.4", 5])
    assert TestClient(app).post("/echo").json()["client"] == ["testclient", 50_000]


@pytest.mark.parametrize("entered", [True, False])
def test_a_bug_is_raised_where_the_test_is(app, entered):
    client = TestClient(app)
    if entered:
        client.__enter__()
    with pytest.raises(ValueError, match="a bug"):
        client.get("/broken")
    with pytest.raises(ValueError, match="in the middle"):
        client.get("/half")
    with (
        pytest.raises(ValueError, match="a bug in a socket"),
        client.websocket_connect("/ws") as chat,
    ):
        chat.send_text("bug")
        with pytest.raises(WebSocketDisconnect):
            chat.receive_text()
    assert client.get("/chosen").status_code == 503
    assert client.get("/hello").text == "hello"
    if entered:
        client.__exit__()


def test_a_bug_is_an_answer_if_that_is_asked_for(app):
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/broken").status_code == 500
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/half")


@pytest.mark.parametrize("kind", [TestClient, AsyncTestClient])
async def test_silence_names_the_line(app, kind):
    async def ask():
        if kind is AsyncTestClient:
            async with AsyncTestClient(app, timeout=0.05) as client:
                await client.get("/silent")
        else:
            with TestClient(app, timeout=0.05) as client:
                await asyncio.to_thread(client.get, "/silent")

    with pytest.raises(httpx.ReadTimeout) as caught:
        await ask()
    assert "GET http://testserver/silent: nothing has come for 0.05 s" in str(caught.value)
    assert "await asyncio.Event().wait()" in str(caught.value)


def test_what_runs_after_the_answer_belongs_to_the_request():
    written, go = [], threading.Event()

    async def later():
        await asyncio.to_thread(go.wait)
        written.append("later")

    async def home(request):
        go.set()
        return AsgiJson(request.query_params._dict, background=BackgroundTask(later))

    TestClient(Starlette(routes=[Route("/", home)])).get("/")
    assert written == ["later"]


def test_a_background_task_without_an_end_names_its_line():
    async def later():
        await asyncio.Event().wait()

    async def home(request):
        return AsgiJson({}, background=BackgroundTask(later))

    with (
        pytest.raises(TimeoutError, match=r"still runs 0.05 s after its answer.*in later"),
        TestClient(Starlette(routes=[Route("/", home)]), timeout=0.05) as client,
    ):
        client.get("/")


def test_a_stream_is_read_as_it_comes_and_may_be_left():
    left, go = threading.Event(), threading.Event()

    async def numbers():
        try:
            yield b"0"
            await asyncio.to_thread(go.wait)
            yield b"1"
            await asyncio.Event().wait()
        finally:
            left.set()

    async def home(request: AsgiRequest):
        return AsgiStream(numbers())

    with (
        TestClient(Starlette(routes=[Route("/", home)])) as client,
        client.stream("GET", "/") as reply,
    ):
        pieces = reply.iter_raw()
        assert next(pieces) == b"0"
        go.set()
        assert next(pieces) == b"1"
        reply.close()
        assert left.wait(10)


def test_a_body_that_is_refused_early_is_answered(app):
    with TestClient(app, limits=Limits(body_bytes=1000)) as client:
        assert client.post("/echo", content=b"x" * 5_000_000).status_code == 413


def test_trailers_are_beside_the_response():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await send({"type": "http.response.body", "body": b"body"})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})

    reply = TestClient(app).get("/", headers={"te": "trailers"})
    assert reply.extensions["http.response.trailers"] == [(b"x-sum", b"1")]


def test_a_handler_that_ignores_its_socket_is_cancelled_behind_it():
    cancelled = threading.Event()

    async def forever(websocket):
        await websocket.accept()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    app = Starlette(routes=[WebSocketRoute("/", forever)])
    with TestClient(app) as client:
        client.websocket_connect("/").__exit__()
        assert cancelled.is_set()


def test_no_more_connections_than_the_limit(app):
    with TestClient(app, limits=Limits(connections=1)) as client:
        with client.websocket_connect("/ws"), pytest.raises(ConnectionError, match="connections"):
            client.get("/hello")
        assert client.get("/hello").text == "hello"
    brief = TestClient(app, limits=Limits(connections=1))
    with brief.stream("GET", "/hello"), pytest.raises(ConnectionError):
        brief.websocket_connect("/ws")
    assert brief._brief is None


def test_a_port_needs_to_be_entered(app):
    with pytest.raises(Misused, match="while it is entered"):
        TestClient(app, port=0).get("/hello")


def test_a_header_that_cannot_be_sent(app):
    with pytest.raises(httpx.LocalProtocolError):
        TestClient(app).get("/hello", headers={"x": "a\r\nb: c"})


async def test_async_tests_share_their_loop_with_the_application():
    loops = []

    async def home(request):
        loops.append(asyncio.get_running_loop())
        assert (await request.body()) == b"x" * 100_000
        return AsgiStream(iter([b"a", b"b"]))

    async def body():
        for _ in range(10):
            yield b"x" * 10_000

    app = Starlette(routes=[Route("/", home, methods=["POST"])])
    async with AsyncTestClient(app) as client:
        reply = await client.post("/", content=body())
        assert (reply.text, loops) == ("ab", [asyncio.get_running_loop()])
        assert (await client.get("/nowhere")).status_code == 404


async def test_async_tests_see_bugs_too(app):
    async with AsyncTestClient(app) as client:
        with pytest.raises(ValueError, match="a bug"):
            await client.get("/broken")
        with pytest.raises(ValueError, match="in the middle"):
            await client.get("/half")
        with pytest.raises(httpx.LocalProtocolError):
            await client.get("/hello", headers={"x": "a\r\nb: c"})
        assert (await client.post("/echo")).json()["entered"]
    async with AsyncTestClient(app, limits=Limits(connections=1, body_bytes=1000)) as client:
        assert (await client.post("/echo", content=b"x" * 5_000_000)).status_code == 413
        async with held(client):
            with pytest.raises(httpx.ConnectError):
                await client.get("/hello")


@asynccontextmanager
async def held(client):
    asking = asyncio.create_task(client.get("/silent"))
    await until(lambda: client._server.statistics().connections > 0)
    yield
    asking.cancel()
    await asyncio.wait([asking])


def test_what_is_not_installed_is_named(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("httpx"):
            raise ModuleNotFoundError(name, name=name)
        return real(name, *args, **kwargs)

    for name in ("transport", "http_client"):
        monkeypatch.delitem(sys.modules, f"megahertz.testing.{name}", raising=False)
        monkeypatch.delattr(megahertz.testing, name, raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"megahertz\[test\]"):
        megahertz.testing.__getattr__("TestClient")
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        megahertz.testing.__getattr__("Nothing")


def test_a_lifespan_that_fails_is_raised_where_the_test_is():
    broken = {"start": True, "stop": True}

    @asynccontextmanager
    async def lifespan(app):
        if broken["start"]:
            raise RuntimeError("no database")
        yield {"pool": "a pool"}
        if broken["stop"]:
            raise RuntimeError("the pool hangs")

    client = TestClient(Starlette(lifespan=lifespan))
    with pytest.raises(RuntimeError, match="no database"), client:
        pass
    broken["start"] = False
    with pytest.raises(RuntimeError, match="the pool hangs"), client:
        assert client.app_state == {"pool": "a pool"}
    broken["stop"] = False
    with client:
        assert client.get("/").status_code == 404
    assert TestClient(App()).app_state == {}


@pytest.mark.parametrize("kind", [TestClient, AsyncTestClient])
async def test_below_a_path_that_requests_name(kind):
    async def home(request):
        return AsgiJson([request.scope["root_path"], request.url_for("home").path])

    app = Starlette(routes=[Route("/here", home, name="home")])
    if kind is TestClient:
        reply = await asyncio.to_thread(TestClient(app, root_path="/api").get, "/api/here")
    else:
        async with AsyncTestClient(app, root_path="/api") as client:
            reply = await client.get("/api/here")
    assert reply.json() == ["/api", "/api/here"]


def test_a_socket_says_who_it_is():
    async def who(websocket):
        await websocket.accept()
        await websocket.send_text(websocket.headers["authorization"])
        await websocket.receive()

    client = TestClient(Starlette(routes=[WebSocketRoute("/", who)]))
    with client.websocket_connect("/", auth=("ann", "secret")) as socket:
        assert socket.receive_text() == "Basic YW5uOnNlY3JldA=="


def test_a_client_that_is_closed_leaves_its_responses():
    left = threading.Event()

    async def endless(request):
        async def pieces():
            try:
                yield b"x"
                await asyncio.Event().wait()
            finally:
                left.set()

        return AsgiStream(pieces())

    client = TestClient(Starlette(routes=[Route("/", endless)]))
    client.send(client.build_request("GET", "/"), stream=True)
    client.close()
    assert left.wait(10)


def test_two_sockets_without_a_with_share_a_loop(app):
    client = TestClient(app)
    with client.websocket_connect("/ws") as one, client.websocket_connect("/ws") as two:
        host = client._brief
        for socket in (one, two):
            socket.send_text("hello")
            assert socket.receive_text() == "hello"
        assert client._brief is host
    assert client._brief is None


def test_what_comes_after_the_answer_may_fail_in_silence():
    async def later():
        raise ValueError("too late")

    async def home(request):
        return AsgiJson("ok", background=BackgroundTask(later))

    app = Starlette(routes=[Route("/", home)])
    assert TestClient(app, raise_server_exceptions=False).get("/").json() == "ok"
    with pytest.raises(ValueError, match="too late"):
        TestClient(app).get("/")
