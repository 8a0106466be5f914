"""Three routes: run it with `mhz run examples.hello:app`."""

from typing import Annotated

import msgspec

from megahertz import App, Header, HTTPError, Policy

ITEMS = {1: "spanner", 2: "wrench"}


class Item(msgspec.Struct):
    sku: int
    name: str


class Order(msgspec.Struct):
    sku: int
    user: int


class Receipt(msgspec.Struct):
    sku: int
    user: int
    agent: str


app = App(title="hello", policy=Policy(deadline=1.0))


@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}


@app.get("/items/{sku}")
async def item(sku: int, shout: bool = False) -> Item:
    if sku not in ITEMS:
        raise HTTPError(404, f"no item {sku}")
    name = ITEMS[sku]
    return Item(sku, name.upper() if shout else name)


@app.post("/orders", status_code=201)
async def order(order: Order, agent: Annotated[str, Header("user-agent")] = "") -> Receipt:
    return Receipt(order.sku, order.user, agent)
