"""The ordinary service: FastAPI, a `def` handler, one transaction an order.

uvicorn megahertz.demo.flash_sale.ordinary:app
"""

import sqlite3
import threading
from typing import Literal

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from megahertz.demo.flash_sale.database import connect, folder

app = FastAPI(title="flash sale")
local = threading.local()


class Order(BaseModel):
    """One unit for one buyer."""

    id: int
    sku: int
    user: int
    quantity: Literal[1] = 1


def database() -> sqlite3.Connection:
    """One connection for each thread of the pool."""
    if not hasattr(local, "database"):
        local.database = connect(folder() / "shop.db")
    return local.database  # type: ignore[no-any-return]


@app.post("/orders", status_code=201)
def place(order: Order) -> dict[str, str]:
    """Sells a unit, in one transaction."""
    with database() as shop:
        shop.execute("BEGIN IMMEDIATE")
        if is_known(shop, order):
            return {"status": "accepted"}
        take_one(shop, order.sku)
        try:
            shop.execute(
                "INSERT INTO orders VALUES (?, ?, ?, ?)",
                (order.id, order.sku, order.user, order.quantity),
            )
        except sqlite3.IntegrityError:
            raise HTTPException(409, "one order a buyer") from None
    return {"status": "accepted"}


def is_known(shop: sqlite3.Connection, order: Order) -> bool:
    """Whether this very order was placed before: an order's id is its idempotency key."""
    known = shop.execute("SELECT sku, user FROM orders WHERE id = ?", (order.id,)).fetchone()
    return known == (order.sku, order.user)  # type: ignore[no-any-return]


def take_one(shop: sqlite3.Connection, sku: int) -> None:
    """Takes a unit out of the stock."""
    taken = shop.execute("UPDATE stock SET sold = sold + 1 WHERE sku = ? AND sold < units", (sku,))
    if taken.rowcount == 0:
        if shop.execute("SELECT 1 FROM stock WHERE sku = ?", (sku,)).fetchone():
            raise HTTPException(410, "sold out")
        raise HTTPException(404, "no such article")
