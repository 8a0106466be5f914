"""FastAPI in its own idiom: pydantic models, which it answers with too."""

import asyncio

from fastapi import FastAPI, Response
from pydantic import BaseModel

from benchmarks.peers.python.shop import BLOB, redis

app = FastAPI()
store = None


class Line(BaseModel):
    sku: int
    name: str
    count: int
    price: float


class Order(BaseModel):
    id: int
    user: str
    paid: bool
    total: float
    note: str
    tags: list[str]
    lines: list[Line]


class Item(BaseModel):
    sku: int
    full: bool
    limit: int


@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}


@app.get("/items/{sku}")
async def item(sku: int, full: bool = False, limit: int = 10) -> Item:
    return Item(sku=sku, full=full, limit=limit)


@app.post("/orders")
async def order(order: Order) -> Order:
    return order


@app.get("/blob")
async def blob() -> Response:
    return Response(BLOB, media_type="application/octet-stream")


@app.get("/yield")
async def yielding() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"msg": "ok"}


@app.get("/redis")
async def stored() -> dict[str, str]:
    global store
    store = store or redis()
    return {"msg": (await store.get("msg")).decode()}
