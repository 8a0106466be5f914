"""What a user writes, checked by mypy --strict; it is not run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, assert_type

import msgspec

from megahertz import (
    GCRA,
    App,
    Client,
    Cookie,
    Depends,
    Event,
    Events,
    Header,
    HTTPError,
    JSONResponse,
    Policy,
    Query,
    Request,
    Response,
    Rooms,
    Router,
    StreamingResponse,
    WebSocket,
    WebSocketDisconnect,
    deadline,
)
from megahertz.cache import Tiers, cached
from megahertz.govern import Bulkhead, Group, Hedge, Retry, Timeout, Upstream
from megahertz.http import ClientResponse
from megahertz.types import Handler


class Order(msgspec.Struct):
    sku: int
    user: int


@dataclass
class Receipt:
    number: int


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[dict[str, str]]:
    app.state.pool = object()
    yield {"greeting": "hello"}


app = App(title="shop", policy=Policy(deadline=1.0), lifespan=lifespan)


@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}


@app.get("/items/{sku}", name="item")
async def item(
    sku: int,
    full: bool = False,
    agent: Annotated[str, Header("user-agent")] = "",
    session: Annotated[str | None, Cookie()] = None,
    tags: Annotated[list[str], Query("tag")] = [],  # noqa: B006
) -> Order:
    raise HTTPError(404, f"no item {sku}", headers={"x-full": str(full)})


@app.post("/orders", policy=Policy(deadline=0.2, limit=GCRA(5000, per=1, burst=500)))
@app.put("/orders", status_code=201)
async def order(order: Order, request: Request) -> Response:
    body = assert_type(await request.body(), bytes)
    assert_type(request.headers.get("x-id", ""), str)
    answer = JSONResponse(Receipt(order.sku), 201, headers={"x-length": str(len(body))})
    answer.headers["x-more"] = "1"
    answer.set_cookie("seen", "1", httponly=True)
    return answer


async def user(x_user: Annotated[str, Header()] = "nobody") -> str:
    return x_user


@app.get("/me")
async def me(user: Annotated[str, Depends(user)]) -> str:
    return assert_type(user, str)


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"

    return StreamingResponse(pieces(), media_type="text/plain")


@app.layer
def timed(handler: Handler) -> Handler:
    async def layered(request: Request) -> Response:
        response: Response = await handler(request)
        response.headers["x-timed"] = "1"
        return response

    return layered


@app.exception_handler(KeyError)
def missing(request: Request, error: KeyError) -> Response:
    return Response("missing", 404)


rooms = Rooms()


@app.websocket("/ws/{room}", backpressure="drop", unsent_bytes=1000, compress=False)
async def ws(websocket: WebSocket, room: str, user: Annotated[str, Depends(user)]) -> None:
    await websocket.accept(headers={"x-user": user})
    assert_type(rooms[room].join(websocket), bool)
    try:
        assert_type(await websocket.receive_text(), str)
        async for message in websocket:
            assert_type(message, str | bytes)
            assert_type(await rooms[room].broadcast(message, skip=websocket), int)
    except WebSocketDisconnect as gone:
        assert_type(gone.reason, str)


@app.socket("/feed", policy=Policy.off())
class Feed:
    async def opened(self, websocket: WebSocket) -> None:
        websocket.state.n = 0

    async def received(self, websocket: WebSocket, message: str | bytes) -> None:
        await websocket.send(message)

    def closed(self, websocket: WebSocket, code: int, reason: str) -> None: ...


@app.get("/events")
async def events() -> Events:
    async def ticks() -> AsyncIterator[Event]:
        yield Event({"tick": 1}, event="tick", id="1", retry=1.0)

    return Events(ticks())


admin = Router(policy=Policy.off())


@admin.get("/health")
def health() -> str:
    return "ok"


app.include(admin, prefix="/admin")


async def price(sku: int, currency: str = "EUR") -> float:
    return sku * 1.0


async def guarded() -> None:
    retried = Retry(attempts=2)(Timeout(0.1)(price))
    assert_type(await retried(7, currency="CHF"), float)
    assert_type(await Bulkhead(5, queue=10).run(price, 7), float)
    assert_type(deadline(), float | None)
    with deadline(0.1) as block:
        assert_type(block.expired, bool)
    await Hedge().run(price, "7")  # type: ignore[arg-type]
    await retried()  # type: ignore[call-arg]


@cached(60, stale=10)
async def priced(sku: int, currency: str = "EUR") -> float:
    return 1.0


async def caches() -> None:
    assert_type(await priced(7), float)
    assert_type(await priced(7, currency="USD"), float)
    assert_type(priced.peek(7), float | None)
    await priced.delete(7)
    by_name: Tiers[str, int] = Tiers(named, 60, name="named")
    assert_type(await by_name.get("a"), int)
    assert_type(by_name.peek("a", None), int | None)


async def named(name: str) -> int:
    return len(name)


class Stock(msgspec.Struct):
    left: int


async def calls() -> None:
    upstream = Upstream(Group("stock"), retry=Retry(), per_try=0.1)
    async with Client("http://stock", headers={"x-a": "1"}, upstream=upstream) as client:
        response = await client.get("/7", params={"full": True}, timeout=1.0)
        assert_type(response, ClientResponse)
        assert_type(response.decode(Stock), Stock)
        assert_type(response.decode(list[Stock]), list[Stock])
        await client.post("/", json=Stock(7), auth=("name", "password"))
        await client.post("/", files={"f": ("a.txt", b"x")}, data={"a": [1, 2]})
        async with client.stream("GET", "/feed") as stream:
            async for line in stream.aiter_lines():
                assert_type(line, str)
