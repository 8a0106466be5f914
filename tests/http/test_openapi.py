"""The OpenAPI document: what signatures say, and what routes say besides."""

import enum
import gzip
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from openapi_spec_validator import validate

from examples import hello, inventory
from megahertz import (
    App,
    Cookie,
    Depends,
    Events,
    FileResponse,
    Header,
    JSONResponse,
    Query,
    Request,
    Response,
    Router,
    WebSocket,
)
from megahertz.testing import Client


class Color(enum.Enum):
    RED = "red"


class Part(msgspec.Struct):
    color: Color


class Order(msgspec.Struct):
    sku: int
    parts: list[Part] = []


class Model(pydantic.BaseModel):
    class Inner(pydantic.BaseModel):
        number: int

    inner: Inner


class Odd:
    pass


def operation(handler, path="/", method="get", **options) -> dict[str, Any]:
    app = App()
    app.route(path, (method,), **options)(handler)
    found = app.openapi()
    validate(found)
    return next(iter(found["paths"].values()))[method] | {"components": found["components"]}


@pytest.mark.parametrize("app", [hello.app, inventory.app, App()], ids=lambda app: app.title)
def test_documents_are_valid(app):
    validate(app.openapi())


def test_parameters_are_those_of_the_signature():
    async def handler(
        sku: int,
        limit: Annotated[int, Query("n"), msgspec.Meta(ge=1, description="At most so many.")] = 10,
        kind: Literal["a", "b"] | None = None,
        tags: Annotated[list[str], Query()] = [],  # noqa: B006
        trace: Annotated[str, Header("X-Trace")] = "",
        session: Annotated[str, Cookie()] = "",
        day: date = date(2026, 1, 2),
    ) -> None: ...

    found = operation(handler, "/items/{sku:int}")["parameters"]
    by_name = {item["name"]: item for item in found}
    assert [item["in"] for item in found] == ["path", *["query"] * 4, "header", "cookie"]
    assert by_name["sku"]["required"] is True
    assert by_name["n"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "description": "At most so many.",
        "default": 10,
    }
    assert by_name["n"]["description"] == "At most so many."
    assert by_name["kind"]["schema"] == {"enum": ["a", "b"]}
    assert by_name["tags"]["schema"]["items"] == {"type": "string"}
    assert by_name["x-trace"]["required"] is False
    assert by_name["day"]["schema"] == {
        "type": "string",
        "format": "date",
        "default": "2026-01-02",
    }


def test_what_dependencies_read_is_the_routes_own():
    def inner(token: Annotated[str, Header()], body: Order) -> str:
        return token

    def outer(page: int, inner: Annotated[str, Depends(inner)]) -> int:
        return page

    def first(lang: Annotated[str, Cookie()] = "") -> None: ...

    async def handler(a: Annotated[int, Depends(outer)], b: Annotated[str, Depends(inner)]): ...

    found = operation(handler, method="post", dependencies=[Depends(first)])
    names = [(item["in"], item["name"]) for item in found["parameters"]]
    assert names == [("query", "page"), ("header", "token"), ("cookie", "lang")]
    assert found["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Order"
    }


def test_a_parameter_of_the_path_that_nobody_takes_is_text():
    async def handler(request: Request) -> None: ...

    found = operation(handler, "/files/{rest:path}")["parameters"]
    assert [(item["name"], item["schema"]) for item in found] == [("rest", {"type": "string"})]


def test_bodies_and_answers_share_their_types():
    @dataclass
    class Box:
        order: Order

    async def handler(order: Order) -> list[Box]: ...

    found = operation(handler, method="put", status_code=202)
    names = set(found["components"]["schemas"])
    assert names == {"Order", "Part", "Color", "Box", "Problem"}
    assert found["requestBody"]["required"] is True
    assert found["responses"]["202"]["content"]["application/json"]["schema"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Box"},
    }


def test_pydantic_models_bring_theirs():
    async def handler(model: Model) -> Model: ...

    found = operation(handler, method="post")
    assert {"Model", "Inner"} <= set(found["components"]["schemas"])
    assert found["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Model"
    }


@pytest.mark.parametrize(
    ("returns", "status", "content"),
    [
        (None, "204", None),
        (str, "200", "text/plain"),
        (bytes, "200", "application/octet-stream"),
        (dict, "200", "application/json"),
        (Odd, "200", "application/json"),
        (Response, "200", None),
        (JSONResponse, "200", "application/json"),
        (FileResponse, "200", "*/*"),
        (Events, "200", "text/event-stream"),
    ],
)
def test_an_answer_is_the_return_annotation(returns, status, content):
    async def handler(): ...

    handler.__annotations__["return"] = returns
    found = operation(handler)["responses"]
    assert set(found) == {status, "default"}
    assert list(found[status].get("content", {})) == ([content] if content else [])


def test_a_body_of_bytes_may_be_missing():
    async def handler(body: bytes = b"") -> None: ...

    from megahertz import Body

    handler.__annotations__["body"] = Annotated[bytes, Body()]
    found = operation(handler, method="post")["requestBody"]
    assert found == {"required": False, "content": {"application/octet-stream": {"schema": {}}}}


def test_words_come_from_the_docstring_unless_they_are_said():
    async def handler() -> None:
        """Do it.

        In *this* way.
        """

    async def silent_one() -> None: ...

    found = operation(handler)
    assert (found["summary"], found["description"]) == ("Do it", "In *this* way.")
    said = operation(handler, summary="Other", description="", tags=["a"], deprecated=True)
    assert (said["summary"], said["tags"], said["deprecated"]) == ("Other", ["a"], True)
    assert operation(silent_one)["summary"] == "Silent one"


def test_further_answers_are_said():
    async def handler() -> None: ...

    said = {
        404: "No such thing.",
        409: {"description": "It is gone.", "model": Part, "headers": {"x": {"schema": {}}}},
        418: {"content": {"text/plain": {}}},
    }
    found = operation(handler, responses=said)["responses"]
    assert found["404"]["description"] == "No such thing."
    assert list(found["404"]["content"]) == ["application/problem+json"]
    assert found["409"]["content"]["application/json"]["schema"]["$ref"].endswith("Part")
    assert found["409"]["headers"] == {"x": {"schema": {}}}
    assert list(found["418"]["content"]) == ["text/plain"]


def test_each_operation_has_a_name_of_its_own_and_its_routers_tags():
    inner, app = Router(tags=["inner"]), App()

    @inner.route("/", ("GET", "POST"), tags=["own"])
    async def thing() -> None: ...

    app.include(inner, "/a")
    app.include(inner, "/b")
    paths = app.openapi()["paths"]
    names = [item["operationId"] for path in paths.values() for item in path.values()]
    assert sorted(names) == ["thing", "thing_2", "thing_get", "thing_post"]
    assert paths["/a/"]["get"]["tags"] == ["inner", "own"]


def test_what_is_no_operation_is_not_listed(tmp_path):
    app = App()

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None: ...

    @app.get("/hidden", include_in_schema=False)
    async def hidden() -> None: ...

    async def guest(scope, receive, send): ...

    app.files("/static", tmp_path)
    app.mount("/guest", guest)
    assert app.openapi()["paths"] == {}


def test_the_document_and_its_page_are_served():
    with Client(inventory.app) as client:
        document = client.get("/openapi.json")
        assert document.headers["content-type"] == "application/json"
        assert document.json() == inventory.app.openapi()
        page = client.get("/docs")
        assert 'data-url="openapi.json"' in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert '"docs/start.js"' in page.text
        assert "SwaggerUIBundle" in client.get("/docs/start.js").text
        for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
            assert f'"docs/{name}"' in page.text
            plain = client.get(f"/docs/{name}")
            packed = client.get(f"/docs/{name}", headers={"accept-encoding": "gzip"})
            assert plain.status_code == 200
            assert packed.headers["content-encoding"] == "gzip"
            assert plain.content == gzip.decompress(packed.content)
        assert "://" not in page.text, "nothing comes from elsewhere"


@pytest.mark.parametrize("client_kind", ["own route", "elsewhere", "off"])
def test_addresses_can_be_chosen(client_kind):
    if client_kind == "own route":
        app = App()

        @app.get("/docs")
        async def docs() -> str:
            return "mine"

        expected = {"/docs": "mine"}
    elif client_kind == "elsewhere":
        app = App(openapi_url="/api/v1.json", docs_url="/help/api")
        expected = {"/help/api": 'data-url="../api/v1.json"', "/api/v1.json": '"3.1.0"'}
    else:
        app = App(openapi_url=None)
        expected = {"/docs": "404", "/openapi.json": "404"}
    with Client(app) as client:
        for path, text in expected.items():
            assert text in client.get(path).text


def test_whole_numbers_may_be_written_with_a_point():
    app = App()

    @app.post("/")
    async def order(order: Order) -> Order:
        return order

    @app.post("/maybe")
    async def maybe(order: Order | None = None) -> bool:
        return order is None

    with Client(app) as client:
        assert client.post("/", content=b'{"sku": 7.0}').json() == {"sku": 7, "parts": []}
        assert client.post("/maybe", content=b'{"sku": 7e2}').json() is False
        assert client.post("/maybe").json() is True
        wrong = client.post("/", content=b'{"sku": 7.5}')
        assert wrong.json()["errors"] == [{"where": "body.sku", "rule": "Expected int, got float"}]
        both = client.post("/", content=b'{"sku": 7.0, "parts": [{"color": "blue"}]}')
        assert both.json()["errors"][0]["where"] == "body.parts[0].color"
