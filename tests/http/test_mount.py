import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.websockets import WebSocket

from megahertz import App, Depends, HTTPError, Policy, Router
from megahertz.errors import BadRoute
from megahertz.testing import Client


def make_old(happened=None):
    async def lifespan(app):
        happened.append("starts")
        yield {"began": 1}
        happened.append("stops")

    old = FastAPI(lifespan=lifespan if happened is not None else None)

    @old.api_route("/where/{n}", methods=["GET", "POST", "HEAD"])
    async def where(n: int, request: Request):
        return {
            "n": n,
            "path": request.url.path,
            "root": request.scope["root_path"],
            "raw": request.scope["raw_path"].decode(),
            "url": str(request.url_for("where", n=4).path),
            "size": len(await request.body()),
        }

    @old.get("/stream")
    async def stream():
        return StreamingResponse(iter(["a", "b"]))

    @old.get("/state")
    async def state(request: Request):
        return {"began": request.state.began}

    @old.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{websocket.scope['root_path']} {text}")

    @old.websocket("/closed")
    async def closed(websocket: WebSocket):
        await websocket.close()

    return old


def test_requests_below_a_path_are_the_mounted_applications():
    app = App()
    app.get("/old/mine")(lambda: "mine")
    app.mount("/old", make_old())

    with Client(app) as client:
        assert client.get("/old/where/3").json() == {
            "n": 3,
            "path": "/old/where/3",
            "root": "/old",
            "raw": "/old/where/3",
            "url": "/old/where/4",
            "size": 0,
        }
        assert client.post("/old/where/3", content=b"x" * 100_000).json()["size"] == 100_000
        assert client.head("/old/where/3").content == b""
        assert client.get("/old/stream").text == "ab"
        assert client.get("/old/nope").json() == {"detail": "Not Found"}
        assert client.get("/old/docs").status_code == 200
        assert client.get("/old/mine").text == "mine"
        assert client.get("/older").json()["code"] == "http"
        assert client.delete("/old/mine").json() == {"detail": "Not Found"}


def test_the_path_itself_is_sent_on():
    app = App()
    app.mount("/old", make_old())
    with Client(app) as client:
        reply = client.get("/old?a=%2F")
    assert (reply.status_code, reply.headers["location"]) == (307, "/old/?a=%2F")


def test_websockets_too():
    app = App()
    app.mount("/old", make_old())
    with Client(app) as client:
        with client.websocket_connect("/old/ws") as websocket:
            websocket.send_text("hello")
            assert websocket.receive_text() == "/old hello"
        with pytest.raises(HTTPError, match="403"):
            client.websocket_connect("/old/closed")


def test_the_lifespan_runs_with_the_applications_even_in_a_router():
    happened, api = [], Router()
    api.mount("/old", make_old(happened))
    app = App()
    app.include(api, "/api")
    with Client(app) as client:
        assert happened == ["starts"]
        assert client.get("/api/old/state").json() == {"began": 1}
        assert client.get("/api/old/where/1").json()["root"] == "/api/old"
    assert happened == ["starts", "stops"]


def test_a_mount_may_take_all_that_is_left():
    app = App()
    app.get("/mine")(lambda: "mine")
    app.mount("/", make_old())
    with Client(app) as client:
        assert client.get("/where/3").json()["root"] == ""
        assert client.get("/mine").text == "mine"


def test_a_prefix_may_have_parameters():
    app = App()
    app.mount("/t/{tenant}", make_old())
    with Client(app) as client:
        assert client.get("/t/a%20b/where/3").json()["root"] == "/t/a b"
        assert client.get("/t/acme").headers["location"] == "/t/acme/"


def test_what_stands_in_front_stands_in_front_of_mounts():
    seen = []

    def tag(next):
        async def layered(request):
            if "x-refuse" in request.headers:
                raise HTTPError(401, "no")
            response = await next(request)
            response.headers["x-tag"] = "1"
            return response

        return layered

    async def ring(request):
        yield
        seen.append(request.path)

    async def dependency():
        seen.append("dependency")

    app = App(layers=[tag, ring], dependencies=[Depends(dependency)])
    app.mount("/old", make_old(), policy=Policy(concurrency=1))
    with Client(app) as client:
        reply = client.get("/old/where/3")
        assert (reply.status_code, reply.headers["x-tag"]) == (200, "1")
        assert client.get("/old/stream").headers["x-tag"] == "1"
        assert client.get("/old/where/3", headers={"x-refuse": "1"}).status_code == 401
    assert seen == ["dependency", "/old/where/3", "dependency", "/old/stream"]


def test_an_app_mounts_an_app():
    inner = App(title="inner")

    @inner.exception_handler(ValueError)
    def answer(request, error):
        return f"inner: {error}"

    @inner.get("/items/{n}")
    async def item(n: int) -> int:
        if n == 0:
            raise ValueError("zero")
        return n

    outer = App()
    outer.mount("/v1", inner)
    with Client(outer) as client:
        assert client.get("/v1/items/3").json() == 3
        assert client.get("/v1/items/0").text == "inner: zero"
        assert client.get("/v1/items/x").status_code == 422
        assert client.get("/v1/nope").status_code == 404


def test_versions_are_routers_with_prefixes():
    v1, v2, app = Router(), Router(), App()

    @v1.get("/items")
    @v2.get("/items")
    async def items() -> list[int]:
        return [1]

    @v2.get("/stock")
    async def stock() -> int:
        return 2

    app.include(v1, "/v1")
    app.include(v2, "/v2")
    with Client(app) as client:
        assert client.get("/v1/items").json() == client.get("/v2/items").json() == [1]
        assert (client.get("/v1/stock").status_code, client.get("/v2/stock").json()) == (404, 2)


def test_what_cannot_be_mounted_is_refused():
    app = App()
    for wrong in (app, "old"):
        with pytest.raises(BadRoute, match="takes an ASGI application"):
            app.mount("/old", wrong)
    with pytest.raises(BadRoute, match="begins with a slash"):
        app.mount("old", make_old())


def test_a_mount_that_does_not_start_stops_the_start():
    async def failing(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    app = App()
    app.mount("/old", failing)
    with pytest.raises(Exception, match="no database"), Client(app):
        pass


def test_django_like_applications_see_what_they_expect():
    """root_path is a prefix of path (ASGI 3.0: SCRIPT_NAME is taken off by the application)."""
    seen = {}

    async def raw(scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        seen.update(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    app = App()
    app.mount("/ab", raw)
    with Client(app) as client:
        assert client.get("/ab/c%2Fd?e=f").status_code == 204
    assert (seen["root_path"], seen["path"]) == ("/ab", "/ab/c/d")
    assert (seen["raw_path"], seen["query_string"]) == (b"/ab/c%2Fd", b"e=f")
