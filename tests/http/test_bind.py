import dataclasses
import datetime
import enum
import uuid
from typing import Annotated, Any, Literal, Optional, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz import App, Body, Cookie, Header, Path, Query, Request, Router
from megahertz.errors import BadRoute
from megahertz.http.convert import whole
from megahertz.testing import Client


class Colour(enum.Enum):
    RED = "red"


class Order(msgspec.Struct):
    sku: int
    user: int


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Pair(TypedDict):
    left: int


class Model(pydantic.BaseModel):
    name: str
    count: int = 1


def ask(handler, path="/", *, pattern="/", method="POST", **options):
    app = App()
    app.route(pattern, [method])(handler)
    with Client(app) as client:
        return client.request(method, path, **options)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, "a%20b", "a b"),
        (int, "42", 42),
        (int, "-42", -42),
        (int, "9" * 30, int("9" * 30)),
        (float, "1.5", 1.5),
        (bool, "Yes", True),
        (bool, "0", False),
        (uuid.UUID, "12345678-1234-5678-1234-567812345678", "12345678-1234-5678-1234-567812345678"),
        (datetime.date, "2026-11-21", "2026-11-21"),
        (datetime.datetime, "2026-11-21T05:15:00Z", "2026-11-21T05:15:00Z"),
        (Colour, "red", "red"),
        (Literal["a", "b"], "b", "b"),
        (Optional[int], "1", 1),  # noqa: UP045
        (int | None, "1", 1),
        (Annotated[int, msgspec.Meta(ge=1)], "1", 1),
    ],
    ids=str,
)
def test_path_and_query_parameters_become_what_is_annotated(kind, text, value):
    async def handler(request: Request, in_path, in_query: kind) -> list[Any]:
        return [in_path, in_query]

    handler.__annotations__["in_path"] = kind

    reply = ask(handler, f"/{text}?in_query={text}", pattern="/{in_path}")

    assert reply.json() == [value, value]


@pytest.mark.parametrize(
    ("kind", "text", "rule"),
    [
        (int, "x", "Expected int, got 'x'"),
        (int, "1_0", "Expected int, got '1_0'"),
        (int, "%D9%A3", "Expected int, got '٣'"),
        (float, "x", "Expected float, got 'x'"),
        (bool, "maybe", "Expected bool, got 'maybe'"),
        (uuid.UUID, "1", "Invalid UUID: '1'"),
        (datetime.date, "2026-13-01", "Invalid RFC3339 encoded date: '2026-13-01'"),
        (Colour, "blue", "Expected 'red', got 'blue'"),
        (Literal["a", "b"], "c", "Expected 'a' or 'b', got 'c'"),
        (Annotated[int, msgspec.Meta(ge=1)], "0", "Expected int >= 1"),
        (int, "x" * 50, f"Expected int, got '{'x' * 40}'..."),
    ],
    ids=str,
)
def test_a_bad_parameter_is_422_by_name_and_rule(kind, text, rule):
    async def handler(value: kind) -> None: ...

    reply = ask(handler, f"/?value={text}")

    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["errors"] == [{"where": "query.value", "rule": rule}]


def test_every_bad_parameter_is_listed():
    async def handler(
        a: int, b: int, c: Annotated[int, Header()], d: Annotated[int, Cookie()], order: Order
    ) -> None: ...

    reply = ask(
        handler,
        "/x?b=y",
        pattern="/{a}",
        headers={"c": "z", "cookie": "d=q"},
        content='{"sku": 1}',
    )

    assert [item["where"] for item in reply.json()["errors"]] == [
        "path.a",
        "query.b",
        "header.c",
        "cookie.d",
        "body",
    ]


@pytest.mark.parametrize(
    ("source", "where"),
    [(Query(), "query.value"), (Header(), "header.value"), (Cookie(), "cookie.value")],
    ids=["query", "header", "cookie"],
)
def test_a_missing_parameter_is_required(source, where):
    async def handler(value) -> None: ...

    handler.__annotations__["value"] = Annotated[str, source]

    assert ask(handler).json()["errors"] == [{"where": where, "rule": "Required"}]


def test_defaults_stand_for_what_is_absent():
    async def handler(
        a: int = 1,
        b: Annotated[str | None, Header("x-b")] = None,
        c: Annotated[str, Cookie()] = "c",
        d: int = Query(default=4),
        e: Annotated[list[int], Query()] = [5],  # noqa: B006
        f: Order | None = None,
        *,
        g: bool = False,
    ) -> list[Any]:
        return [a, b, c, d, e, f, g]

    assert ask(handler).json() == [1, None, "c", 4, [5], None, False]


def test_markers_name_the_place():
    async def handler(
        user_agent: Annotated[str, Header()],
        trace: Annotated[str, Header("X-Trace")],
        session: Annotated[str, Cookie("sid")],
        page: Annotated[int, Query("p")],
        number: Annotated[int, Path("sku")],
    ) -> list[Any]:
        return [user_agent, trace, session, page, number]

    reply = ask(
        handler,
        "/5?p=2",
        pattern="/{sku}",
        headers={"user-agent": "me", "x-trace": "t", "cookie": 'a=b; sid="s"'},
    )

    assert reply.json() == ["me", "t", "s", 2, 5]


def test_a_list_takes_every_value_of_its_name():
    async def handler(tag: list[int], x: Annotated[list[str], Header("x-many")]) -> list[Any]:
        return [tag, x]

    app = App()
    app.get("/")(handler)
    with Client(app) as client, client.connect() as peer:
        peer.sendall(
            b"GET /?tag=1&tag=2 HTTP/1.1\r\nHost: x\r\nX-Many: a\r\nX-Many: b\r\n"
            b"Connection: close\r\n\r\n"
        )
        data = b"".join(iter(lambda: peer.recv(4096), b""))

    assert data.endswith(b'[[1,2],["a","b"]]')


def test_the_last_value_of_a_name_wins():
    async def handler(a: int) -> int:
        return a

    assert ask(handler, "/?a=1&a=2").json() == 2


@pytest.mark.parametrize(
    ("kind", "sent", "value"),
    [
        (Order, {"sku": 1, "user": 2}, {"sku": 1, "user": 2}),
        (Point, {"x": 1, "y": 2}, {"x": 1, "y": 2}),
        (Pair, {"left": 1}, {"left": 1}),
        (Model, {"name": "n"}, {"name": "n", "count": 1}),
        (Model | None, {"name": "n"}, {"name": "n", "count": 1}),
        (list[Order], [{"sku": 1, "user": 2}], [{"sku": 1, "user": 2}]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Annotated[int, Body()], 7, 7),
    ],
    ids=str,
)
def test_the_body_is_decoded_into_what_is_annotated(kind, sent, value):
    async def handler(thing: kind) -> Any:
        return thing

    assert ask(handler, json=sent).json() == value


def test_bytes_are_the_body_itself():
    async def handler(data: Annotated[bytes, Body()]) -> bytes:
        return data[::-1]

    assert ask(handler, content=b"abc").content == b"cba"


@pytest.mark.parametrize(
    ("kind", "content", "status", "where"),
    [
        (Order, b"{", 400, "body"),
        (Order, b"\xff", 400, "body"),
        (Order, b"", 422, "body"),
        (Order, b'{"sku":1}', 422, "body"),
        (Order, b'{"sku":1,"user":"x"}', 422, "body.user"),
        (list[Order], b'[{"sku":1,"user":"x"}]', 422, "body[0].user"),
        (Model, b"{", 400, "body"),
        (Model, b'{"name":1}', 422, "body.name"),
        (Model, b'{"count":"x"}', 422, "body.name"),
    ],
)
def test_a_bad_body_says_where(kind, content, status, where):
    async def handler(thing: kind) -> None: ...

    reply = ask(handler, content=content)

    assert (reply.status_code, reply.json()["errors"][0]["where"]) == (status, where)


def test_a_bare_request_parameter_needs_no_annotation():
    async def handler(request):
        return request.method

    assert ask(handler).text == "POST"


def test_an_object_with_an_async_call_is_a_handler():
    class Handler:
        async def __call__(self, a: int) -> int:
            return a

    assert ask(Handler(), "/?a=3").json() == 3


@pytest.mark.parametrize(
    ("path", "asked", "names"),
    [
        ("/items/{sku:int}", "/items/1", {"sku": "1"}),
        ("/files/{rest:path}", "/files/a/b.c", {"rest": "a/b.c"}),
        ("/files/{*rest}", "/files/a/b.c", {"rest": "a/b.c"}),
    ],
)
def test_starlettes_patterns_are_understood(path, asked, names):
    async def handler(request: Request) -> dict[str, str]:
        return request.path_params

    assert ask(handler, asked, pattern=path).json() == names


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("items", "begins with a slash"),
        ("/a-{b}", "not a whole segment"),
        ("/{a", "not a whole segment"),
        ("/{a}/{a}", "comes twice"),
        ("/{a:path}/b", "nothing follows"),
        ("/{a:slug}", "annotate the parameter"),
    ],
)
def test_a_bad_pattern_is_refused(path, told):
    async def handler() -> None: ...

    with pytest.raises(BadRoute, match=told):
        App().get(path)(handler)


def bad_unannotated(x): ...
def bad_star(*args: int): ...
def bad_two_bodies(a: Order, b: Point): ...
def bad_type(b: "list[Request]"): ...
def bad_name(a: "Unknown"): ...  # noqa: F821
def bad_generator():
    yield 1


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (bad_unannotated, "'x' has no annotation"),
        (bad_star, "cannot be bound"),
        (bad_two_bodies, "a and b are both the body"),
        (bad_type, "parameter 'b' of type"),
        (bad_name, "'Unknown' is not known"),
        (bad_generator, "StreamingResponse"),
        ("text", "is not a function"),
    ],
)
def test_a_bad_signature_is_refused_where_it_is_declared(handler, told):
    with pytest.raises(BadRoute, match=told) as caught:
        App().get("/place")(handler)

    assert "GET /place" in str(caught.value)


def test_a_path_parameter_that_no_pattern_has_is_refused_at_start_up():
    app, router = App(), Router()

    @router.get("/")
    async def handler(shop: Annotated[str, Path()]) -> str:
        return shop

    app.include(router, prefix="/{shop}")
    assert app.routes

    other = App()
    other.include(router, prefix="/shops")
    with pytest.raises(BadRoute, match=r"the pattern has no {shop}"):
        _ = other.routes


@pytest.mark.parametrize("prefix", ["x", "/x/", "/"])
def test_a_bad_prefix_is_refused(prefix):
    with pytest.raises(BadRoute, match="begins with a slash"):
        App().include(Router(), prefix=prefix)


def test_a_router_that_includes_itself_is_refused():
    app, router = App(), Router()
    app.include(router)

    with pytest.raises(BadRoute, match="include itself"):
        router.include(app)


def test_the_native_query_is_the_whole_one():
    names = ("a", "b=", "a b", "é")
    app = App()

    @app.get("/")
    async def asked(
        request: Request,
        one: Annotated[str | None, Query(names[0])] = None,
        two: Annotated[str | None, Query(names[1])] = None,
        three: Annotated[str | None, Query(names[2])] = None,
        four: Annotated[str | None, Query(names[3])] = None,
    ) -> list[list[str | None]]:
        whole = dict(request.query_params)
        return [[one, two, three, four], [whole.get(name) for name in names]]

    pieces = [*"ab=&&%+;2", "%C3%A9", "b%3D", "%20", "%ff", "%c3", "a=", "&a=", "&a+b="]

    @given(st.lists(st.sampled_from(pieces), max_size=12).map("".join))
    def check(query):
        native, plain = client.get(f"/?{query}").json()
        assert native == plain

    with Client(app) as client:
        check()


@given(st.text(max_size=8) | st.integers().map(str) | st.sampled_from(["1_0", " 1", "+1", "٣"]))
def test_the_quick_int_is_msgspecs(text):
    try:
        expected = msgspec.convert(text, int, strict=False)
    except msgspec.ValidationError:
        with pytest.raises(msgspec.ValidationError):
            whole(text)
    else:
        assert whole(text) == expected
