"""Every refusal names where, which, and the rule."""

import enum
import uuid
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from megahertz import App, Cookie, Depends, Header, Query, Request
from megahertz.testing import Client


class Line(msgspec.Struct):
    sku: Annotated[int, Meta(ge=1)]


class Order(msgspec.Struct):
    lines: Annotated[list[Line], Meta(min_length=1)]
    note: Annotated[str, Meta(max_length=5)] = ""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


async def limited(limit: Annotated[int, Meta(le=100)] = 10) -> int:
    return limit


app = App()


@app.post("/{n}/{name}")
async def everything(
    n: Annotated[int, Meta(ge=1, le=5)],
    name: Annotated[str, Meta(pattern="^[a-z]+$")],
    order: Order,
    token: Annotated[str, Meta(min_length=3), Header("x-token")] = "...",
    sid: Annotated[int, Meta(gt=0), Cookie()] = 1,
    tag: Annotated[list[Annotated[int, Meta(lt=10)]], Query()] = (),
    colour: Colour = Colour.RED,
    kind: Literal["a", "b"] = "a",
    id: uuid.UUID | None = None,
    left: Annotated[int, Meta(ge=0)] | None = None,
    numbers: Annotated[list[int], Header("x-number")] = (),
    limit: Annotated[int, Depends(limited)] = 0,
) -> str:
    return "ok"


@app.post("/form")
async def form(request: Request) -> list[str]:
    async with request.form() as found:
        return list(found)


GOOD = {"lines": [{"sku": 1}]}


@pytest.mark.parametrize(
    ("path", "options", "where", "rule"),
    [
        ("/9/a", {}, "path.n", "Expected int <= 5"),
        ("/1/A", {}, "path.name", "Expected str matching regex '^[a-z]+$'"),
        ("/1/a", {"headers": {"x-token": "a"}}, "header.x-token", "Expected str of length >= 3"),
        ("/1/a", {"headers": {"cookie": "sid=0"}}, "cookie.sid", "Expected int >= 1"),
        ("/1/a", {"headers": {"x-number": "q"}}, "header.x-number[0]", "Expected int, got 'q'"),
        ("/1/a?tag=1&tag=12", {}, "query.tag[1]", "Expected int <= 9"),
        ("/1/a?colour=green", {}, "query.colour", "Expected 'red' or 'blue', got 'green'"),
        ("/1/a?kind=c", {}, "query.kind", "Expected 'a' or 'b', got 'c'"),
        ("/1/a?id=7", {}, "query.id", "Invalid UUID: '7'"),
        ("/1/a?left=-1", {}, "query.left", "Expected int >= 0"),
        ("/1/a?limit=101", {}, "query.limit", "Expected int <= 100"),
        ("/1/a", {"json": {"lines": []}}, "body.lines", "Expected array of length >= 1"),
        ("/1/a", {"json": {"lines": [{"sku": 0}]}}, "body.lines[0].sku", "Expected int >= 1"),
        ("/1/a", {"json": GOOD | {"note": "too long"}}, "body.note", "Expected str of length <= 5"),
        ("/1/a", {"json": [1]}, "body", "Expected object, got array"),
        ("/1/a", {"content": b""}, "body", "Required"),
    ],
)
def test_what_is_wrong_is_told(path, options, where, rule):
    with Client(app) as client:
        reply = client.post(
            path, **({"json": GOOD} | options if "content" not in options else options)
        )
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["errors"] == [{"where": where, "rule": rule}]


def test_all_of_it_at_once():
    with Client(app) as client:
        reply = client.post("/0/A?left=x", json={"lines": []}, headers={"x-token": ""})
    assert [error["where"] for error in reply.json()["errors"]] == [
        "path.n",
        "path.name",
        "body.lines",
        "header.x-token",
        "query.left",
    ]


MULTIPART = "multipart/form-data; boundary=b"
BIG = (
    b'--b\r\ncontent-disposition: form-data; name="note"\r\n\r\n' + b"x" * (1 << 20) + b"x\r\n--b--"
)


@pytest.mark.parametrize(
    ("kind", "content", "status", "where"),
    [
        ("text/plain", b"x", 415, "header.content-type"),
        ("multipart/form-data", b"x", 400, "header.content-type"),
        (MULTIPART, b"x", 400, "body"),
        (MULTIPART, BIG, 413, "body.note"),
        ("application/x-www-form-urlencoded", b"a&" * 2000, 413, "body"),
    ],
)
def test_forms_too(kind, content, status, where):
    big = App()
    big.post("/form", body_bytes=1 << 22)(form)
    with Client(big) as client:
        reply = client.post("/form", content=content, headers={"content-type": kind})
    assert reply.status_code == status
    assert [error["where"] for error in reply.json()["errors"]] == [where]
