"""A shop whose orders are written behind: `mhz run write_behind:app`, see docs/guide."""

import os
import tempfile
from pathlib import Path

import msgspec

from megahertz import App
from megahertz.backends import SQLiteSink
from megahertz.data import WriteBehind


class Order(msgspec.Struct):
    id: str
    sku: int
    user: int


home = Path(os.environ.get("SHOP_HOME") or tempfile.mkdtemp())
orders = WriteBehind(
    home / "journal-{worker}",
    SQLiteSink(home / "shop.db", "orders", type=Order, key="id"),
    type=Order,
    key=lambda order: order.id,
)
app = App(title="shop", resources=[orders])


@app.get("/")
async def pending() -> dict[str, int]:
    return {"pending": orders.statistics().pending}


@app.post("/orders", status_code=201)
async def order(order: Order) -> Order:
    await orders.put(order)  # on the disk when this returns
    return order
