"""Whatever a client sends, the answer is the client's fault or none at all."""

import datetime
import enum
import uuid
from typing import Annotated, Literal, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megahertz import App, Cookie, Header, Query, Request
from megahertz.testing import Client


class Colour(enum.Enum):
    RED = "red"


class Order(msgspec.Struct):
    sku: int
    when: datetime.datetime
    tags: list[str] = []
    inner: "Order | None" = None


class Model(pydantic.BaseModel):
    name: str
    size: float = 1


class Pair(TypedDict, total=False):
    left: int


@pytest.fixture(scope="module")
def client():
    app = App()

    @app.get("/{a}/{b}/{c}")
    async def typed(
        request: Request,
        a: int,
        b: uuid.UUID | int,
        c: float,
        d: Annotated[list[int], Query()] = [],  # noqa: B006
        e: Colour = Colour.RED,
        f: Literal["x", 1] = "x",
        g: bool = False,
        h: Annotated[datetime.date | None, Header()] = None,
        i: Annotated[int, Cookie()] = 0,
    ) -> str:
        assert request.query_params is not None
        return f"{request.cookies} {request.url} {request.path_params}"

    @app.post("/struct")
    async def struct(order: Order) -> Order:
        return order

    @app.post("/model")
    async def model(model: Model) -> Model:
        return model

    @app.post("/pair")
    async def pair(pair: Pair | list[Pair]) -> str:
        return repr(pair)

    with Client(app) as client:
        yield client


texts = st.text(max_size=6) | st.sampled_from(["1", "-0", "nan", "1e999", "9" * 5000, "%00", "x=y"])
values = st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "S"]), max_size=8)


def quoted(text):
    return "".join(f"%{byte:02x}" for byte in text.encode()) or "-"


@settings(max_examples=150, deadline=None)
@given(st.tuples(texts, texts, texts), st.dictionaries(st.sampled_from("defg"), texts), values)
def test_any_parameters(client, path, query, value):
    target = "/" + "/".join(map(quoted, path))
    target += "?" + "&".join(f"{name}={quoted(text)}" for name, text in query.items())

    reply = client.get(target, headers={"h": value, "cookie": f"i={value}"})

    assert reply.status_code < 500


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["/struct", "/model", "/pair"]),
    st.binary(max_size=30)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["sku", "name", "left", "when"]), inner, max_size=4)
        ),
    ).map(msgspec.json.encode),
)
def test_any_body(client, path, body):
    assert client.post(path, content=body).status_code < 500


def test_a_body_nested_without_end(client):
    assert client.post("/pair", content=b"[" * 100_000).status_code in (400, 422)
    assert client.post("/struct", content=b'{"inner":' * 50_000).status_code in (400, 422)
