"""megahertz: handlers by annotation, a deadline on every route."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.peers.python.folder import folder
from benchmarks.peers.python.shop import BLOB, Item, Order
from benchmarks.peers.python.stores import Store, opened
from megahertz import App, Policy

store: Store | None = None


@asynccontextmanager
async def connected(app: App) -> AsyncIterator[None]:
    global store
    async with opened() as store:
        yield


app = App(title="shop", policy=Policy(deadline=1.0), lifespan=connected)
app.files("/files", folder())


@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}


@app.get("/items/{sku}")
async def item(sku: int, full: bool = False, limit: int = 10) -> Item:
    return Item(sku, full, limit)


@app.post("/orders")
async def order(order: Order) -> Order:
    return order


@app.get("/blob")
async def blob() -> bytes:
    return BLOB


@app.get("/yield")
async def yielding() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"msg": "ok"}


@app.get("/redis")
async def stored() -> dict[str, str]:
    assert store is not None
    return {"msg": (await store.get("msg")).decode()}


@app.get("/cluster")
async def scattered() -> dict[str, str]:
    assert store is not None
    return {"msg": (await store.get(store.key())).decode()}


@app.get("/pipeline")
async def gathered() -> dict[str, int]:
    assert store is not None
    return {"found": await store.many()}
