import asyncio
import contextvars
import dataclasses
import logging
import threading
from contextlib import asynccontextmanager
from typing import TypedDict

import msgspec
import pydantic
import pytest

from megahertz import App, HTTPError, JSONResponse, Policy, Request, Response, Router
from megahertz.errors import BadRoute, Overloaded
from megahertz.govern import GCRA
from megahertz.testing import Client


class Order(msgspec.Struct):
    sku: int
    user: int


@dataclasses.dataclass
class Receipt:
    number: int


class Pair(TypedDict):
    left: int
    right: int


class Model(pydantic.BaseModel):
    name: str
    count: int = 1


@pytest.mark.parametrize(
    ("value", "status", "media", "body"),
    [
        ({"msg": "ok"}, 200, "application/json", b'{"msg":"ok"}'),
        ([1, None], 200, "application/json", b"[1,null]"),
        (Order(1, 2), 200, "application/json", b'{"sku":1,"user":2}'),
        (Receipt(7), 200, "application/json", b'{"number":7}'),
        (Model(name="x"), 200, "application/json", b'{"name":"x","count":1}'),
        ("text", 200, "text/plain; charset=utf-8", b"text"),
        (b"\x00\x01", 200, "application/octet-stream", b"\x00\x01"),
        (None, 204, None, b""),
        (JSONResponse([1], 202), 202, "application/json", b"[1]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_answers_by_the_type_of_the_value(value, status, media, body):
    app = App()

    @app.get("/")
    async def handler():
        return value

    with Client(app) as client:
        reply = client.get("/")

    assert (reply.status_code, reply.headers.get("content-type")) == (status, media)
    assert reply.content == body


def test_a_route_chooses_the_status():
    app = App()

    @app.post("/", status_code=201)
    async def create() -> dict[str, int]:
        return {"id": 1}

    with Client(app) as client:
        assert client.post("/").status_code == 201


def test_several_routes_decorate_one_handler():
    app = App()

    @app.get("/a")
    @app.put("/b/{x}")
    async def handler(request: Request) -> dict[str, str]:
        return request.path_params

    with Client(app) as client:
        assert client.get("/a").json() == {}
        assert client.put("/b/1").json() == {"x": "1"}


def test_a_def_handler_runs_in_a_thread_with_a_copy_of_the_context():
    app = App()
    variable = contextvars.ContextVar("variable", default="unset")

    @app.get("/{x}")
    def handler(x: int) -> list[object]:
        before = variable.get()
        variable.set(f"set by {x}")
        return [before, threading.current_thread() is threading.main_thread(), x]

    with Client(app) as client:
        assert client.get("/1").json() == ["unset", False, 1]
        assert client.get("/2").json() == ["unset", False, 2]


def test_a_def_handler_that_raises_stop_iteration_is_a_500():
    """Asyncio futures refuse it, and the request would wait for ever."""
    app = App()

    @app.get("/")
    def handler() -> str:
        raise StopIteration

    with Client(app) as client:
        assert client.get("/").status_code == 500


def test_what_no_route_matches_is_404_and_another_method_405():
    app = App()

    @app.get("/here")
    async def here() -> str:
        return ""

    with Client(app) as client:
        missing, wrong = client.get("/nowhere"), client.post("/here")

    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "GET, HEAD"


def test_head_is_answered_by_get_without_the_body():
    app = App()

    @app.get("/")
    async def handler() -> str:
        return "four"

    with Client(app) as client:
        reply = client.head("/")

    assert (reply.status_code, reply.content, reply.headers["content-length"]) == (200, b"", "4")


def test_resources_and_lifespan_open_in_order_and_close_in_reverse():
    happened = []

    class Pool:
        async def __aenter__(self):
            happened.append("pool opens")

        async def __aexit__(self, *exc):
            happened.append("pool closes")

    @asynccontextmanager
    async def lifespan(app):
        happened.append("lifespan begins")
        yield {"greeting": "hello"}
        happened.append("lifespan ends")

    app = App(lifespan=lifespan, resources=[Pool()])

    @app.get("/")
    async def handler(request: Request) -> str:
        return request.state.greeting

    with Client(app) as client:
        assert client.get("/").text == "hello"

    assert happened == ["pool opens", "lifespan begins", "lifespan ends", "pool closes"]


def test_what_was_opened_is_closed_when_the_lifespan_fails():
    happened = []

    class Pool:
        async def __aenter__(self):
            happened.append("opens")

        async def __aexit__(self, *exc):
            happened.append("closes")

    @asynccontextmanager
    async def lifespan(app):
        raise RuntimeError("no database")
        yield

    with (
        pytest.raises(RuntimeError, match="no database"),
        Client(App(lifespan=lifespan, resources=[Pool()])),
    ):
        pass

    assert happened == ["opens", "closes"]


def test_an_included_router_brings_routes_policies_and_prefix():
    items = Router(policy=Policy(limit=GCRA(1)))

    @items.get("/{sku}")
    async def item(shop: str, sku: int) -> list[object]:
        return [shop, sku]

    @items.get("/free/{sku}", policy=Policy.off())
    async def free(shop: str, sku: int) -> list[object]:
        return [shop, sku]

    app = App()
    app.include(items, prefix="/shops/{shop}/items")

    with Client(app) as client:
        assert client.get("/shops/a/items/1").json() == ["a", 1]
        assert client.get("/shops/a/items/1").status_code == 429
        assert client.get("/shops/a/items/free/1").json() == ["a", 1]
        assert client.get("/shops/a/items/free/1").json() == ["a", 1]


def test_an_included_app_is_opened_and_closed_with_the_outer_one():
    happened = []

    @asynccontextmanager
    async def lifespan(app):
        happened.append("in")
        yield
        happened.append("out")

    inner, outer = App(lifespan=lifespan), App()
    outer.include(inner, prefix="/inner")

    with Client(outer):
        assert happened == ["in"]
    assert happened == ["in", "out"]


def test_layers_stand_around_the_handler_and_see_its_errors_as_answers():
    app = App()
    seen = []

    def marking(name):
        def layer(handler):
            async def layered(request):
                request.state.by = name
                response = await handler(request)
                seen.append((name, response.status_code))
                response.headers["x-by"] = name
                return response

            return layered

        return layer

    app.layer(marking("outer"))
    app.layer(marking("inner"))

    @app.get("/")
    async def handler(request: Request) -> str:
        return request.state.by

    @app.get("/missing")
    async def missing() -> str:
        raise HTTPError(404, "gone")

    with Client(app) as client:
        reply = client.get("/")
        assert (reply.text, reply.headers["x-by"]) == ("inner", "outer")
        assert client.get("/missing").headers["x-by"] == "outer"

    assert seen == [("inner", 200), ("outer", 200), ("inner", 404), ("outer", 404)]


def test_exception_handlers_answer_by_the_closest_class():
    app = App()

    @app.exception_handler(LookupError)
    def lookup(request: Request, error: LookupError) -> Response:
        return Response(f"lookup {request.path}", 404)

    @app.exception_handler(KeyError)
    async def key(request: Request, error: KeyError) -> Response:
        await asyncio.sleep(0)
        return Response("key", 410)

    @app.get("/{kind}")
    async def handler(kind: str) -> str:
        raise {"key": KeyError, "index": IndexError}[kind]("x")

    with Client(app) as client:
        key_reply, index_reply = client.get("/key"), client.get("/index")

    assert (key_reply.status_code, key_reply.text) == (410, "key")
    assert (index_reply.status_code, index_reply.text) == (404, "lookup /index")


def test_an_unknown_error_is_logged_and_not_told(caplog):
    app = App()

    @app.get("/")
    async def handler() -> str:
        raise ValueError("the password is 1234")

    with Client(app) as client, caplog.at_level(logging.ERROR, "megahertz"):
        reply = client.get("/")

    assert reply.status_code == 500
    assert "1234" not in reply.text
    assert "the password is 1234" in caplog.text


def test_debug_tells_the_traceback():
    app = App(debug=True)

    @app.get("/")
    async def handler() -> str:
        raise ValueError("the reason")

    with Client(app) as client:
        assert "ValueError: the reason" in client.get("/").json()["detail"]


def test_a_full_thread_pool_is_503():
    app = App()
    app.threads._most = 0

    @app.get("/")
    def handler() -> str:
        return ""

    with Client(app) as client:
        reply = client.get("/")

    assert reply.status_code == 503
    assert reply.json()["code"] == Overloaded.code
    assert reply.headers["retry-after"] == "1"


def test_the_deadline_of_the_policy_is_504():
    app = App(policy=Policy(deadline=0.01))

    @app.get("/")
    async def handler() -> str:
        await asyncio.Event().wait()
        return ""

    with Client(app) as client:
        reply = client.get("/")

    assert reply.status_code == 504
    assert reply.json()["code"] == "expired.deadline"


def test_concurrency_above_the_policy_is_503():
    app = App()
    entered, leave = threading.Event(), threading.Event()

    @app.get("/", policy=Policy(concurrency=1))
    def handler() -> str:
        entered.set()
        leave.wait(10)
        return "done"

    replies = []
    with Client(app) as client:
        first = threading.Thread(target=lambda: replies.append(client.get("/")))
        first.start()
        entered.wait(10)
        second = client.get("/")
        leave.set()
        first.join()
        third = client.get("/")

    assert (second.status_code, second.json()["code"]) == (503, "refused.bulkhead_full")
    assert [reply.status_code for reply in (*replies, third)] == [200, 200]


@pytest.mark.parametrize(
    ("key", "path", "headers", "other"),
    [
        ("client", "/a", {}, None),
        ("header:x-user", "/a", {"x-user": "ann"}, ("/a", {"x-user": "bob"})),
        ("path:sku", "/a", {}, ("/b", {})),
        (lambda request: request.headers["x-user"], "/a", {"x-user": "1"}, ("/a", {"x-user": "2"})),
    ],
    ids=["client", "header", "path", "function"],
)
def test_a_keyed_limit_counts_each_key_for_itself(key, path, headers, other):
    app = App()

    @app.get("/{sku}", policy=Policy(limit=GCRA(1, per=60, key=key)))
    async def handler(sku: str) -> str:
        return sku

    with Client(app) as client:
        statuses = [client.get(path, headers=headers).status_code for _ in range(2)]
        if other is not None:
            statuses.append(client.get(other[0], headers=other[1]).status_code)

    assert statuses == [200, 429, 200][: len(statuses)]


def test_a_refusal_says_when_to_come_again():
    app = App()

    @app.get("/", policy=Policy(limit=GCRA(1, per=60)))
    async def handler() -> str:
        return ""

    with Client(app) as client:
        client.get("/")
        reply = client.get("/")

    assert reply.json()["type"] == "urn:megahertz:refused.rate_limited"
    assert reply.headers["retry-after"] == "60"


def test_routes_may_name_one_place_differently_along_the_way():
    app = App()

    @app.get("/items/{sku}")
    async def one(sku: int) -> str:
        return f"item {sku}"

    @app.get("/items/{id}/parts/{sku}")
    async def two(id: int, sku: int) -> str:
        return f"part {sku} of {id}"

    @app.get("/{sku}/items")
    async def three(sku: str) -> str:
        return f"items of {sku}"

    with Client(app) as client:
        assert client.get("/items/1").text == "item 1"
        assert client.get("/items/1/parts/2").text == "part 2 of 1"
        assert client.get("/3/items").text == "items of 3"


def test_the_rest_of_a_path_may_be_empty_unless_a_route_says_otherwise():
    app = App()

    @app.get("/files/{rest:path}")
    async def read(rest: str) -> str:
        return f"read {rest!r}"

    @app.post("/files/{name:path}")
    async def write(name: str) -> str:
        return f"write {name!r}"

    @app.get("/files/")
    async def listing() -> str:
        return "listing"

    with Client(app) as client:
        assert client.get("/files/a/b").text == "read 'a/b'"
        assert client.get("/files/").text == "listing"
        assert client.post("/files/").text == "write ''"


def test_two_routes_of_one_shape_may_name_their_parameters_differently():
    app = App()

    @app.get("/items/{sku}")
    async def read(sku: int) -> int:
        return sku

    @app.delete("/items/{number}")
    async def remove(number: int) -> int:
        return -number

    with Client(app) as client:
        assert client.get("/items/3").json() == 3
        assert client.delete("/items/3").json() == -3


def test_a_route_declared_twice_is_refused():
    app = App()

    @app.get("/items/{sku}")
    async def one(sku: int) -> None: ...

    @app.get("/items/{number}")
    async def two(number: int) -> None: ...

    with pytest.raises(BadRoute, match=r"already GET /items/{sku}"):
        _ = app.routes


def test_a_handler_without_parameters_is_the_endpoint_itself():
    app = App()

    @app.get("/")
    async def hello() -> dict[str, str]:
        return {"msg": "ok"}

    route, *_ = app.routes

    assert route.endpoint is hello
    assert route.bare


def test_a_router_may_have_a_prefix_and_a_route_be_nothing_but_that():
    orders, inner, app = Router(prefix="/orders"), Router("/{number}"), App()
    orders.get("")(lambda: "all")
    inner.get("")(lambda: "one")
    inner.get("/lines")(lambda: "lines")
    orders.include(inner)
    app.include(orders, "/v1")
    with Client(app) as client:
        assert client.get("/v1/orders").text == "all"
        assert client.get("/v1/orders/3").text == "one"
        assert client.get("/v1/orders/3/lines").text == "lines"
        assert client.get("/v1/orders/").status_code == 404


def test_an_empty_path_needs_a_prefix():
    app = App()
    app.get("")(lambda: "never")
    with pytest.raises(BadRoute, match="empty path"):
        _ = app.routes
    with pytest.raises(BadRoute, match="begins with a slash"):
        Router(prefix="orders")
