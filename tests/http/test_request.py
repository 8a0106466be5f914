import asyncio
import json
from typing import Annotated

import pytest

from megahertz import App, Body, Request, StreamingResponse
from megahertz.http import AsgiHost
from megahertz.testing import Client


def ask(handler, raw_path="/a%20b?x=1&x=2&y=%2B+", *, content=None, headers=None):
    app = App()
    app.route("/{rest:path}", ["GET", "POST"])(handler)
    with Client(app) as client:
        method = "GET" if content is None else "POST"
        return client.request(method, raw_path, content=content, headers=headers), client


def test_the_line_and_the_address_by_starlettes_names():
    async def handler(request: Request):
        url = request.url
        return {
            "method": request.method,
            "path": request.path,
            "url": str(url),
            "parts": [url.scheme, url.hostname, url.path, url.query],
            "port": url.port,
            "params": request.path_params,
            "client": request.client.host,
        }

    reply, client = ask(handler)

    assert reply.json() == {
        "method": "GET",
        "path": "/a b",
        "url": f"http://127.0.0.1:{client.port}/a%20b?x=1&x=2&y=%2B+",
        "parts": ["http", "127.0.0.1", "/a%20b", "x=1&x=2&y=%2B+"],
        "port": client.port,
        "params": {"rest": "a b"},
        "client": "127.0.0.1",
    }


def test_query_params_are_a_multi_dict():
    async def handler(request: Request):
        query = request.query_params
        return [query["x"], query.getlist("x"), query["y"], query.get("z"), query.multi_items()]

    reply, _ = ask(handler)

    assert reply.json() == ["2", ["1", "2"], "+ ", None, [["x", "1"], ["x", "2"], ["y", "+ "]]]


def test_headers_ignore_case_and_cookies_are_parsed():
    async def handler(request: Request):
        names = [request.headers["x-Name"], "X-NAME" in request.headers, "nope" in request.headers]
        return [*names, request.cookies]

    reply, _ = ask(handler, headers={"X-Name": "v", "Cookie": 'a=1; b="two"; a=3; =x'})

    assert reply.json() == ["v", True, False, {"a": "1", "b": "two"}]


def test_the_body_as_bytes_json_and_stream():
    async def handler(request: Request):
        pieces = [piece async for piece in request.stream()]
        return [(await request.body()).decode(), await request.json(), len(pieces)]

    reply, _ = ask(handler, "/", content='{"a":1}')

    assert reply.json() == ['{"a":1}', {"a": 1}, 1]


def test_a_large_body_is_streamed_and_may_be_read_again_once_it_was_read_whole():
    big = json.dumps(["x" * 1000] * 500)

    async def streamed(request: Request):
        sizes = [len(piece) async for piece in request.stream()]
        with pytest.raises(RuntimeError, match="stream"):
            await request.body()
        return [len(sizes) > 1, sum(sizes)]

    async def kept(request: Request):
        items, body = await request.json(), await request.body()
        return [len(items), len(body), sum([len(piece) async for piece in request.stream()])]

    assert ask(streamed, "/", content=big)[0].json() == [True, len(big)]
    assert ask(kept, "/", content=big)[0].json() == [500, len(big), len(big)]


def test_a_body_beside_other_parameters_and_layers_comes_whole():
    app = App()

    @app.layer
    def count(call):
        async def layer(request: Request):
            return await call(request)

        return layer

    @app.post("/")
    async def handler(body: Annotated[bytes, Body()], request: Request) -> int:
        assert await request.body() == body
        return len(body)

    @app.post("/small", body_bytes=10)
    async def small(request: Request) -> int:
        return len(await request.body())

    with Client(app) as client:
        assert client.post("/", content=b"x" * 300_000).json() == 300_000
        assert client.post("/small", content=b"x" * 10).json() == 10
        assert client.post("/small", content=b"x" * 11).status_code == 413


@pytest.mark.parametrize("content", ["{", "[" * 100_000], ids=["malformed", "too deep"])
def test_json_that_is_none_is_400(content):
    async def handler(request: Request):
        return await request.json()

    reply, _ = ask(handler, "/", content=content)

    assert reply.status_code == 400
    assert reply.json()["code"] == "http.invalid"


def test_state_is_the_requests_own_and_app_is_the_application():
    async def handler(request: Request):
        assert not hasattr(request.state, "user")
        request.state.user = "ann"
        request.app.state.count = getattr(request.app.state, "count", 0) + 1
        return [request.state.user, request.app.state.count]

    app = App()
    app.get("/")(handler)
    with Client(app) as client:
        assert client.get("/").json() == ["ann", 1]
        assert client.get("/").json() == ["ann", 2]


def test_a_request_may_be_kept_after_its_answer():
    kept = []

    async def handler(request: Request):
        kept.append(request)

    ask(handler, "/kept?x=1", content=b"body", headers={"x-a": "b"})
    (request,) = kept

    assert (request.path, request.headers["x-a"]) == ("/kept", "b")
    assert asyncio.run(request.body()) == b"body"


@pytest.mark.parametrize(
    "query",
    [b"", b"&&", b"=", b"a", b"a=1=2", b"%", b"%zz=%ff", b"\xff=\xfe", b"a;b=1"],
)
def test_any_query_string_is_parsed_as_starlette_does(query):
    starlettes, ours = [], []

    async def theirs(scope, receive, send):
        from starlette.datastructures import QueryParams

        starlettes.append(QueryParams(scope["query_string"]).multi_items())
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    app = App()

    @app.get("/")
    async def handler(request: Request) -> None:
        ours.append(request.query_params.multi_items())

    for application in (AsgiHost(theirs), app):
        with Client(application) as client, client.connect() as peer:
            peer.sendall(b"GET /?" + query + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while peer.recv(4096):
                pass

    assert ours == starlettes


def test_hints_come_before_the_answer_to_those_who_know_them():
    app = App()

    @app.get("/")
    async def handler(request: Request) -> str:
        request.hint("</a.css>; rel=preload")
        return "page"

    @app.get("/late")
    async def late(request: Request) -> StreamingResponse:
        async def pieces():
            yield b"x" * 10_000
            with pytest.raises(RuntimeError, match="begun"):
                request.hint("</a.css>; rel=preload")

        return StreamingResponse(pieces())

    def ask(line: bytes) -> bytes:
        with client.connect() as peer:
            peer.sendall(line + b"\r\nHost: a\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: peer.recv(4096), b""))

    with Client(app) as client:
        told = ask(b"GET / HTTP/1.1")
        assert told.startswith(
            b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n"
        )
        assert ask(b"GET / HTTP/1.0").startswith(b"HTTP/1.1 200 OK\r\n")
        assert ask(b"GET /late HTTP/1.1").endswith(b"0\r\n\r\n")
