"""megahertz: handlers by annotation, a deadline on every route."""

import asyncio

from benchmarks.peers.python.folder import folder
from benchmarks.peers.python.shop import BLOB, Item, Order, client
from megahertz import App, Policy

app = App(title="shop", policy=Policy(deadline=1.0))
app.files("/files", folder())
store = None


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
    global store
    store = store or client()
    return {"msg": (await store.get("msg")).decode()}


@app.get("/pipeline")
async def gathered() -> dict[str, int]:
    global store
    store = store or client()
    pipe = store.pipeline(transaction=False)
    for _ in range(100):
        pipe.get("msg")
    return {"found": len(await pipe.execute())}
