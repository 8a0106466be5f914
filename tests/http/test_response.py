import asyncio
import datetime
import threading

import pytest

from megahertz import App, HTTPError, JSONResponse, Request, Response, StreamingResponse
from megahertz.http import HTMLResponse, PlainTextResponse, RedirectResponse
from megahertz.testing import Client


def get(value, **options):
    app = App()

    @app.get("/")
    async def handler():
        return value() if callable(value) else value

    with Client(app) as client:
        return client.get("/", **options)


@pytest.mark.parametrize(
    ("response", "media", "body"),
    [
        (Response(b"x"), None, b"x"),
        (Response("ü", media_type="text/css"), "text/css; charset=utf-8", "ü".encode()),
        (Response(b"x", headers={"content-type": "image/png"}), "image/png", b"x"),
        (PlainTextResponse("x"), "text/plain; charset=utf-8", b"x"),
        (HTMLResponse("<p>"), "text/html; charset=utf-8", b"<p>"),
        (JSONResponse({"a": [1]}), "application/json", b'{"a":[1]}'),
        (JSONResponse(None), "application/json", b"null"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_kinds_of_responses(response, media, body):
    reply = get(response)

    assert (reply.headers.get("content-type"), reply.content) == (media, body)
    assert reply.headers["content-length"] == str(len(body))


def test_a_redirect_quotes_its_address():
    reply = get(RedirectResponse("/a b?x=1", 303))

    assert (reply.status_code, reply.headers["location"]) == (303, "/a%20b?x=1")


def test_headers_are_a_view_that_writes_back():
    response = Response(b"x", headers={"X-One": "1"})

    response.headers["X-Two"] = "2"
    response.headers["x-one"] = "new"
    response.headers.append("vary", "a")
    response.headers.append("vary", "b")
    del response.headers["x-two"]

    assert response.raw_headers == [(b"x-one", b"new"), (b"vary", b"a"), (b"vary", b"b")]
    assert dict(response.headers) == {"x-one": "new", "vary": "a"}
    assert response.headers.getlist("Vary") == ["a", "b"]
    with pytest.raises(KeyError):
        del response.headers["x-two"]


def test_a_field_that_could_split_the_head_is_refused():
    response = Response()

    with pytest.raises(ValueError, match="x-bad"):
        response.headers["x-bad"] = "a\r\nset-cookie: b"


def test_cookies_are_set_and_deleted():
    response = Response()
    when = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)

    response.set_cookie("a", "1", max_age=60, httponly=True, secure=True, samesite="strict")
    response.set_cookie("b", "two words", expires=when, domain="x.example", samesite=None)
    response.delete_cookie("c")

    assert get(response).raw_headers.count(("set-cookie", "b")) == 0
    assert response.headers.getlist("set-cookie") == [
        "a=1; Max-Age=60; Path=/; SameSite=Strict; HttpOnly; Secure",
        'b="two words"; Domain=x.example; Expires=Sat, 21 Nov 2026 00:00:00 GMT; Path=/',
        "c=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax",
    ]


def test_one_response_may_answer_many_requests():
    app, response = App(), JSONResponse({"msg": "ok"})

    @app.get("/")
    async def handler() -> Response:
        return response

    with Client(app) as client:
        assert [client.get("/").content for _ in range(3)] == [b'{"msg":"ok"}'] * 3


async def pieces():
    yield b"one "
    await asyncio.sleep(0)
    yield "zwei"


@pytest.mark.parametrize(
    "make",
    [lambda: StreamingResponse(pieces()), lambda: StreamingResponse(iter([b"one ", b"", "zwei"]))],
    ids=["async", "plain"],
)
def test_a_stream_is_sent_in_chunks(make):
    reply = get(make)

    assert reply.headers["transfer-encoding"] == "chunked"
    assert reply.text == "one zwei"


def test_a_stream_with_a_length_is_not_chunked():
    reply = get(lambda: StreamingResponse(pieces(), 202, {"content-length": "8"}, "text/plain"))

    assert reply.status_code == 202
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert "transfer-encoding" not in reply.headers
    assert reply.text == "one zwei"


def test_head_of_a_stream_has_no_body():
    app = App()
    app.get("/")(lambda: StreamingResponse(pieces()))

    with Client(app) as client, client.connect() as peer:
        peer.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b"".join(iter(lambda: peer.recv(4096), b""))

    assert data.startswith(b"HTTP/1.1 200")
    assert data.endswith(b"\r\n\r\n")
    assert b"one" not in data


def test_a_stream_to_http_1_0_ends_with_the_connection():
    app = App()
    app.get("/")(lambda: StreamingResponse(pieces()))

    with Client(app) as client, client.connect() as peer:
        peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
        data = b"".join(iter(lambda: peer.recv(4096), b""))

    assert data.endswith(b"\r\n\r\none zwei")
    assert b"chunked" not in data


def test_a_def_handler_may_stream():
    app = App()

    @app.get("/")
    def handler() -> Response:
        names = (threading.current_thread().name for _ in range(2))
        return StreamingResponse(names)

    with Client(app) as client:
        assert client.get("/").text.count("megahertz_") == 2


def test_a_stream_that_fails_cuts_the_connection_and_closes_its_source(caplog):
    closed = []

    async def failing():
        try:
            yield b"half"
            await asyncio.sleep(0)  # now it is sent
            raise ValueError("too late")
        finally:
            closed.append(True)

    app = App()

    @app.get("/")
    async def handler() -> StreamingResponse:
        return StreamingResponse(failing())

    with Client(app) as client, client.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b"".join(iter(lambda: peer.recv(4096), b""))

    assert b"half" in data
    assert not data.endswith(b"0\r\n\r\n")
    assert closed == [True]


def test_a_stream_that_fails_before_anything_was_sent_is_an_error():
    async def failing():
        yield b"half"
        raise HTTPError(418)

    app = App()
    app.get("/")(lambda: StreamingResponse(failing()))

    with Client(app) as client:
        assert client.get("/").status_code == 418


def test_a_short_stream_is_sent_with_its_length_and_a_long_or_slow_one_in_chunks():
    async def stream(count: int, slow: bool):
        for _ in range(count):
            yield b"x" * 1024
            if slow:
                await asyncio.sleep(0)

    app = App()

    @app.get("/{count}")
    async def handler(count: int, slow: bool = False) -> StreamingResponse:
        return StreamingResponse(stream(count, slow))

    with Client(app) as client:
        for path, size, length in (
            ("/0", 0, "0"),
            ("/8", 8192, "8192"),
            ("/9", 9216, None),
            ("/2?slow=true", 2048, None),
        ):
            reply = client.get(path)
            assert (len(reply.content), reply.headers.get("content-length")) == (size, length)


def test_a_stream_waits_for_a_client_that_does_not_read():
    """Back-pressure: what was produced stays near the limit, not near the 64 MiB asked for."""
    produced, left = [0], threading.Event()

    async def endless():
        try:
            for _ in range(1024):
                produced[0] += 1
                yield bytes(65536)
        finally:
            left.set()

    app = App()

    @app.get("/")
    async def handler(request: Request) -> Response:
        return StreamingResponse(endless())

    with Client(app) as client:
        with client.connect() as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert peer.recv(1)
        assert left.wait(10), "the client has gone: the generator is closed"

    assert produced[0] < 1024


def test_a_stream_that_nothing_announced_is_found_without_an_annotation():
    app = App()

    @app.get("/")
    async def handler():
        return StreamingResponse(pieces())

    with Client(app) as client:
        assert client.get("/").text == "one zwei"
