"""The service of docs/tutorial/first-service.md in one file: `mhz run first_service:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec

from megahertz import GCRA, App, Header, HTTPError, Policy, Request

STOCK = {1: 3}
RUSH = Policy(deadline=0.2, limit=GCRA(2, per=60, burst=2, key="client"))


class Order(msgspec.Struct):
    sku: int
    user: int


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[dict[str, list[str]]]:
    yield {"lines": []}


app = App(title="shop", lifespan=lifespan)


@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}


@app.get("/items/{sku}")
async def item(
    sku: int, full: bool = False, agent: Annotated[str, Header("user-agent")] = ""
) -> dict[str, object]:
    return {"sku": sku, "full": full, "agent": agent}


@app.post("/orders", status_code=201)
async def order(order: Order) -> Order:
    return order


@app.get("/stock/{sku}")
async def stock(sku: int) -> dict[str, int]:
    if sku not in STOCK:
        raise HTTPError(404, f"no item {sku}")
    return {"left": STOCK[sku]}


@app.post("/rush", policy=RUSH)
async def rush(order: Order) -> str:
    return f"sold {order.sku} to {order.user}"


@app.post("/lines")
async def append(request: Request) -> dict[str, int]:
    request.state.lines.append((await request.body()).decode())
    return {"lines": len(request.state.lines)}
