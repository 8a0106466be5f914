import asyncio
import queue
import threading
import time
from contextlib import asynccontextmanager

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from megahertz.errors import Misused
from megahertz.http import AsgiHost, asgi_request
from megahertz.settings import Limits
from megahertz.testing import Client


def receive_all(peer):
    data = b""
    while piece := peer.recv(65536):
        data += piece
    return data


def asgi(handler):
    """An application without a lifespan."""

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        await handler(scope, receive, send)

    return app


async def answer(send, body=b"", *, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


def test_the_scope_is_complete():
    scopes = []

    @asgi
    async def app(scope, receive, send):
        scopes.append(scope)
        await answer(send)

    with Client(AsgiHost(app, root_path="/api")) as client:
        client.get("/a%20b/%C3%BC?q=1&r=%20", headers={"X-Name": "value"})

    (scope,) = scopes
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert scope["http_version"] == "1.1"
    assert (scope["method"], scope["scheme"]) == ("GET", "http")
    assert scope["path"] == "/api/a b/ü"
    assert scope["raw_path"] == b"/api/a%20b/%C3%BC"
    assert scope["query_string"] == b"q=1&r=%20"
    assert scope["root_path"] == "/api"
    assert (b"x-name", b"value") in list(scope["headers"])
    assert scope["client"][0] == "127.0.0.1"
    assert scope["server"] == ("127.0.0.1", client.port)


def test_the_body_comes_whole_and_then_the_end_of_the_response_is_a_disconnect():
    messages = []

    @asgi
    async def app(scope, receive, send):
        messages.append(await receive())
        await answer(send, b"x")
        messages.append(await receive())

    with Client(app) as client:
        client.post("/", content=b"hello")

    assert messages == [
        {"type": "http.request", "body": b"hello", "more_body": False},
        {"type": "http.disconnect"},
    ]


def test_a_body_in_one_message_has_its_length():
    app = asgi(lambda scope, receive, send: answer(send, b"hello"))

    with Client(app) as client:
        reply = client.get("/")

    assert reply.headers["content-length"] == "5"
    assert "transfer-encoding" not in reply.headers
    assert reply.content == b"hello"


def test_a_body_in_pieces_is_chunked():
    @asgi
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"one ", b"two ", b""):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    with Client(app) as client:
        reply = client.get("/")

    assert reply.headers["transfer-encoding"] == "chunked"
    assert reply.content == b"one two "


def test_framing_is_ours_even_if_the_application_names_one():
    app = asgi(
        lambda scope, receive, send: answer(
            send, b"hello", headers=[(b"Transfer-Encoding", b"chunked")]
        )
    )

    with Client(app) as client:
        reply = client.get("/")

    assert reply.headers["content-length"] == "5"
    assert "transfer-encoding" not in reply.headers


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_content_has_no_framing(status):
    app = asgi(lambda scope, receive, send: answer(send, status=status))

    with Client(app) as client:
        reply = client.get("/")

    assert reply.status_code == status
    assert not {"content-length", "transfer-encoding"} & set(reply.headers)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304, 404, 700])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"X-Name", b" value "),
        (b"content-length", b"4"),
        (b"Content-Length", b"5"),
        (b"content-length", b"3"),
        (b"content-length", b"x"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Date", b"today"),
        (b"connection", b"close"),
        (b"x-split", b"a\r\nb: c"),
        (b"x split", b"a"),
        (bytearray(b"x-name"), b"value"),
    ],
)
def test_a_plain_answer_is_what_the_long_way_makes_of_it(method, status, name, value):
    @asgi
    async def app(scope, receive, send):
        fields = [(b"content-type", b"text/plain"), (name, value)]
        plain = scope["path"] == "/plain"
        start = {"type": "http.response.start", "status": status}
        await send(start | {"headers": fields if plain else tuple(fields)})
        await send({"type": "http.response.body", "body": b"four"})

    def ask(path):
        with client.connect() as peer:
            peer.sendall(
                f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
            )
            lines = receive_all(peer).split(b"\r\n")
        return [line for line in lines if not line.startswith(b"date: ")]

    with Client(app) as client:
        assert ask("/plain") == ask("/long")


@pytest.mark.parametrize("more", [None, 0, "", 1])
@pytest.mark.parametrize("body", [b"ab", bytearray(b"ab"), memoryview(b"ab"), None])
def test_a_body_message_may_leave_out_and_say_things_differently(more, body):
    @asgi
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        given = {"body": body, "more_body": more}
        message = {name: item for name, item in given.items() if item is not None}
        await send({"type": "http.response.body", **message})
        if more:
            await send({"type": "http.response.body"})

    with Client(app) as client:
        assert client.get("/").content == bytes(body or b"")


def test_head_gets_the_head_of_get():
    app = asgi(lambda scope, receive, send: answer(send, b"hello"))

    with Client(app) as client, client.connect() as peer:
        peer.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = receive_all(peer).lower()

    assert b"content-length: 5\r\n" in data
    assert data.endswith(b"\r\n\r\n")


def test_an_application_that_raises_is_a_500(caplog):
    @asgi
    async def app(scope, receive, send):
        raise ValueError("secret")

    with Client(app) as client:
        reply = client.get("/")

    assert reply.status_code == 500
    assert "secret" not in reply.text
    assert "secret" in caplog.text


def test_an_application_that_raises_after_it_began_cuts_the_connection(caplog):
    @asgi
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("too late")

    with Client(app) as client, client.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        data = receive_all(peer)

    assert data.startswith(b"HTTP/1.1 200")
    assert not data.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"type": "http.response.body", "body": b"x"}],
        [{"type": "http.response.start", "status": 200}] * 2,
        [{"type": "websocket.accept"}],
    ],
    ids=["nothing", "body first", "start twice", "websocket"],
)
def test_a_message_out_of_order_is_a_clear_error(messages, caplog):
    @asgi
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    with Client(app) as client:
        assert client.get("/").status_code == 500

    assert "LocalProtocolError" in caplog.text


def test_a_message_after_the_end_is_refused():
    errors = []

    @asgi
    async def app(scope, receive, send):
        await answer(send, b"x")
        try:
            await send({"type": "http.response.body", "body": b"more"})
        except Exception as error:
            errors.append(error)

    with Client(app) as client:
        assert client.get("/").content == b"x"

    assert "after the response was complete" in str(errors[0])


def test_a_client_that_goes_cancels_nothing():
    """As under uvicorn: an order that is half paid for is paid for."""
    entered, told = threading.Event(), queue.SimpleQueue()
    loops, gone = [], asyncio.Event()

    @asgi
    async def app(scope, receive, send):
        loops.append(asyncio.get_running_loop())
        assert (await receive())["type"] == "http.request"
        entered.set()
        told.put(await receive())
        await gone.wait()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"to nobody", "more_body": True})
        told.put(await receive())
        await send({"type": "http.response.body", "body": b"to nobody"})
        told.put("done")

    with Client(app) as client:
        with client.connect() as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert entered.wait(10)
        assert told.get(timeout=10) == {"type": "http.disconnect"}
        loops[0].call_soon_threadsafe(gone.set)
        assert told.get(timeout=10) == {"type": "http.disconnect"}
        assert told.get(timeout=10) == "done"


def test_who_waits_for_its_client_goes_on_without(caplog):
    """In `send` for a slow reader, and in `receive` for the rest of a body."""
    told = queue.SimpleQueue()

    @asgi
    async def app(scope, receive, send):
        if scope["path"] == "/out":
            await send({"type": "http.response.start", "status": 200})
            for _ in range(200):
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        else:
            while (message := await receive())["type"] != "http.disconnect":
                if scope["path"] == "/in":
                    told.put(len(message["body"]))
        told.put(scope["path"])

    with Client(app) as client:
        with client.connect() as peer:
            peer.sendall(b"GET /out HTTP/1.1\r\nHost: x\r\n\r\n")
            assert peer.recv(100)
        assert told.get(timeout=10) == "/out"
        with client.connect() as peer:
            head = b"POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
            peer.sendall(head + b"x" * 10)
            assert told.get(timeout=10) == 10
        assert told.get(timeout=10) == "/in"
    assert "Error" not in caplog.text


def test_a_loop_that_sends_to_nobody_ends(monkeypatch, caplog):
    monkeypatch.setattr(asgi_request, "MOST_UNHEARD", 100)
    told = queue.SimpleQueue()

    @asgi
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        try:
            while True:
                body = b"x" * 65_536
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except OSError as error:
            told.put(str(error))

    with Client(app) as client:
        with client.connect() as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert peer.recv(100)
        assert told.get(timeout=10) == "the client has gone, 100 messages ago"


def test_starlettes_streams_end_with_their_client():
    """It listens for the end beside the stream, as the version we say asks it to."""
    left = threading.Event()

    async def events():
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            left.set()

    async def stream(request):
        return StreamingResponse(events())

    with Client(Starlette(routes=[Route("/", stream)])) as client:
        with client.connect() as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert peer.recv(1000)
        assert left.wait(10)


def test_what_runs_after_the_answer_survives_the_client():
    """Background tasks: the answer is out before they begin, and nobody cancels them."""
    gone, done = asyncio.Event(), threading.Event()
    loops = []

    @asgi
    async def app(scope, receive, send):
        loops.append(asyncio.get_running_loop())
        await answer(send, b"early")
        await gone.wait()
        await asyncio.sleep(0)
        done.set()

    with Client(app) as client:
        with client.connect() as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert receive_all(peer).endswith(b"early")
        loops[0].call_soon_threadsafe(gone.set)
        assert done.wait(10)


def test_a_body_that_is_too_large_is_413_whatever_the_application_makes_of_it():
    """Starlette would answer 500: it has been told that its client has gone, and is not heard."""

    async def upload(request):
        await request.body()

    limits = Limits(body_bytes=100_000)
    app = Starlette(routes=[Route("/", upload, methods=["POST"])])
    with Client(app, limits=limits) as client, client.connect() as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(2):
            peer.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        assert receive_all(peer).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(("pieces", "how"), [([b"abc"], "shorter"), ([b"abc", b"def"], "longer")])
def test_a_length_that_is_not_met_is_told_to_the_application(pieces, how, caplog):
    @asgi
    async def app(scope, receive, send):
        fields = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    with Client(app) as client, client.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert receive_all(peer).endswith(b"abc")
    assert f"the body is {how} than its content-length" in caplog.text


def test_early_hints_and_those_that_come_too_late():
    @asgi
    async def app(scope, receive, send):
        assert "http.response.early_hint" in scope["extensions"]
        hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]}
        await send(hint)
        await send({"type": "http.response.start", "status": 200})
        await send(hint)
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send(hint)
        await send({"type": "http.response.body"})

    with Client(app) as client, client.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        heads = receive_all(peer).split(b"\r\n\r\n")
    said = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload"
    assert heads[:2] == [said, said]
    assert heads[2].startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("method", ["get", "head"])
def test_starlette_leaves_files_to_the_kernel(tmp_path, method):
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(range(256)) * 4096)
    sent = []

    async def download(request):
        async def send(message):
            sent.append(message["type"])
            await request._send(message)

        await FileResponse(file)(request.scope, request.receive, send)
        return Response()

    async def app(scope, receive, send):
        request = Request(scope, receive, send)
        await download(request)

    with Client(asgi(app)) as client:
        reply = getattr(client, method)("/")
    assert reply.headers["content-length"] == "1048576"
    if method == "get":
        assert reply.content == file.read_bytes()
        assert sent == ["http.response.start", "http.response.pathsend"]


def test_a_file_that_is_not_there_is_an_error(caplog):
    @asgi
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.pathsend", "path": "/nowhere"})

    with Client(app) as client:
        assert client.get("/").status_code == 500
    assert "FileNotFoundError" in caplog.text


async def with_trailers(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "trailers": True})
    await send({"type": "http.response.body", "body": b"body"})
    more = {"headers": [(b"x-sum", b"1"), (b"content-length", b"9")], "more_trailers": True}
    await send({"type": "http.response.trailers", **more})
    await send({"type": "http.response.trailers", "headers": [(b"x-end", b"2")]})


@pytest.mark.parametrize("te", [b"TE: trailers\r\n", b"TE: gzip, Trailers\r\n", b""])
def test_trailers_go_to_who_asks_for_them(te):
    with Client(asgi(with_trailers)) as client, client.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + te + b"Connection: close\r\n\r\n")
        body = receive_all(peer).partition(b"\r\n\r\n")[2]
    trailers = b"x-sum: 1\r\nx-end: 2\r\n" if te else b""
    assert body == b"4\r\nbody\r\n0\r\n" + trailers + b"\r\n"


def test_trailers_that_never_come_are_an_error(caplog):
    @asgi
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        await send({"type": "http.response.body", "body": b"body"})

    with Client(app) as client, client.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not receive_all(peer).endswith(b"0\r\n\r\n")
    assert "where http.response.trailers was due" in caplog.text


@pytest.mark.parametrize("lifespan", ["auto", "on", "off"])
def test_an_application_without_a_lifespan_is_served_unless_it_has_to_have_one(lifespan):
    host = AsgiHost(asgi(lambda scope, receive, send: answer(send)), lifespan=lifespan)

    if lifespan == "on":
        with pytest.raises(Misused, match="has no lifespan"), Client(host):
            pass
    else:
        with Client(host) as client:
            assert client.get("/").status_code == 200


def test_a_lifespan_that_is_off_is_not_asked():
    @asynccontextmanager
    async def lifespan(app):
        raise RuntimeError("no database")
        yield

    with Client(AsgiHost(Starlette(lifespan=lifespan), lifespan="off")) as client:
        assert client.get("/").status_code == 404


def test_the_lifespan_surrounds_the_requests_and_shares_its_state():
    happened = []

    @asynccontextmanager
    async def lifespan(app):
        happened.append("begins")
        yield {"answer": 42}
        happened.append("ends")

    async def homepage(request):
        happened.append(request.state.answer)
        return PlainTextResponse("ok")

    with Client(Starlette(routes=[Route("/", homepage)], lifespan=lifespan)) as client:
        client.get("/")

    assert happened == ["begins", 42, "ends"]


def test_a_lifespan_that_fails_is_told():
    @asynccontextmanager
    async def lifespan(app):
        raise RuntimeError("no database")
        yield

    with pytest.raises(Misused, match="no database"), Client(Starlette(lifespan=lifespan)):
        pass


class Item(BaseModel):
    name: str
    price: float


@pytest.fixture(scope="module")
def shop():
    api = FastAPI()
    api.add_middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_methods=["*"])
    api.state.written = []
    main = threading.current_thread()

    async def user(x_user: str = "nobody"):
        return x_user

    @api.get("/async/{number}")
    async def in_loop(number: int, user: str = Depends(user)):
        await asyncio.sleep(0)
        return {"number": number, "user": user}

    @api.get("/def/{number}")
    def in_thread(number: int):
        assert threading.current_thread() is not main
        return {"number": number}

    @api.post("/items", status_code=201)
    async def create(item: Item):
        return item

    @api.get("/stream")
    async def stream():
        async def pieces():
            for number in range(3):
                yield f"{number};"
                await asyncio.sleep(0)

        return StreamingResponse(pieces(), media_type="text/plain")

    @api.get("/threads")
    def stream_from_threads():
        return StreamingResponse(iter([b"a", b"b"]))

    @api.post("/later", status_code=202)
    async def later(tasks: BackgroundTasks):
        tasks.add_task(api.state.written.append, "task")
        return {}

    @api.get("/missing")
    async def missing():
        raise HTTPException(404, "no such thing")

    @api.post("/upload")
    async def upload(request: Request):
        return {"bytes": sum([len(piece) async for piece in request.stream()])}

    with Client(api) as client:
        client.api = api
        yield client


def test_fastapi_async_handlers(shop):
    assert shop.get("/async/7?x_user=ann").json() == {"number": 7, "user": "ann"}


def test_fastapi_def_handlers(shop):
    assert shop.get("/def/7").json() == {"number": 7}


def test_fastapi_bodies_and_their_errors(shop):
    created = shop.post("/items", json={"name": "x", "price": 1.5})

    assert (created.status_code, created.json()) == (201, {"name": "x", "price": 1.5})
    assert shop.post("/items", json={"name": "x"}).status_code == 422


def test_fastapi_streams(shop):
    assert shop.get("/stream").text == "0;1;2;"
    assert shop.get("/threads").content == b"ab"


def test_fastapi_background_tasks(shop):
    assert shop.post("/later").status_code == 202

    end = time.monotonic() + 10
    while not shop.api.state.written:
        assert time.monotonic() < end


def test_fastapi_errors(shop):
    reply = shop.get("/missing")

    assert (reply.status_code, reply.json()) == (404, {"detail": "no such thing"})
    assert shop.get("/nowhere").status_code == 404


def test_fastapi_cors(shop):
    headers = {"origin": "https://a.example", "access-control-request-method": "PUT"}

    assert shop.options("/items", headers=headers).status_code == 200
    reply = shop.get("/def/1", headers={"origin": "https://a.example"})
    assert reply.headers["access-control-allow-origin"] == "https://a.example"


def test_fastapi_uploads(shop):
    assert shop.post("/upload", content=b"x" * 500_000).json() == {"bytes": 500_000}


def test_starlette_middleware_that_streams_through():
    class Timing(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            response: Response = await call_next(request)
            response.headers["x-timed"] = "1"
            return response

    async def homepage(request):
        return PlainTextResponse((await request.body()).decode())

    app = Starlette(routes=[Route("/", homepage, methods=["POST"])])
    app.add_middleware(Timing)

    with Client(app) as client:
        reply = client.post("/", content=b"hello")

    assert (reply.text, reply.headers["x-timed"]) == ("hello", "1")


def test_what_is_no_application_is_refused():
    with pytest.raises(Misused, match="neither a megahertz App nor an ASGI 3 application"):
        Client(object())


def test_a_class_that_can_be_awaited_is_an_application():
    class Home(HTTPEndpoint):
        async def get(self, request):
            return PlainTextResponse("an endpoint")

    with Client(Home) as client:
        assert client.get("/").text == "an endpoint"


def test_what_leaves_an_application_is_a_500_in_uvicorns_words(caplog):
    @asgi
    async def app(scope, receive, send):
        raise HTTPException(404, "not for you")

    with Client(app) as client:
        reply = client.get("/")
    assert (reply.status_code, reply.text) == (500, "Internal Server Error")
    assert "not for you" in caplog.text


def test_an_answer_without_a_length_begins_before_its_first_piece():
    go = threading.Event()

    @asgi
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await asyncio.to_thread(go.wait)
        await send({"type": "http.response.body", "body": b"at last"})

    with Client(app) as client, client.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert peer.recv(1000).startswith(b"HTTP/1.1 200")
        go.set()
        assert receive_all(peer) == b"7\r\nat last\r\n0\r\n\r\n"
