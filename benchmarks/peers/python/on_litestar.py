"""Litestar in its own idiom: msgspec types by annotation."""

import asyncio

from litestar import Litestar, Response, get, post

from benchmarks.peers.python.shop import BLOB, Item, Order


@get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}


@get("/items/{sku:int}")
async def item(sku: int, full: bool = False, limit: int = 10) -> Item:
    return Item(sku, full, limit)


@post("/orders", status_code=200)
async def order(data: Order) -> Order:
    return data


@get("/blob")
async def blob() -> Response[bytes]:
    return Response(BLOB, media_type="application/octet-stream")


@get("/yield")
async def yielding() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"msg": "ok"}


app = Litestar([hello, item, order, blob, yielding], openapi_config=None, logging_config=None)
