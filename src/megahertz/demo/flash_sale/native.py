"""The same shop on megahertz: answers made once, orders acknowledged from the journal.

mhz run megahertz.demo.flash_sale.native:app
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from operator import attrgetter
from pathlib import Path

from megahertz.backends import SQLiteSink
from megahertz.data import WriteBehind
from megahertz.demo.flash_sale.database import connect, folder
from megahertz.demo.flash_sale.stock import Order, Stock
from megahertz.errors import Overloaded
from megahertz.govern import Policy
from megahertz.http import App, JSONResponse

ACCEPTED = JSONResponse({"status": "accepted"}, status_code=201)
REFUSED = {
    "no such article": JSONResponse({"detail": "no such article"}, status_code=404),
    "sold out": JSONResponse({"detail": "sold out"}, status_code=410),
    "one order a buyer": JSONResponse({"detail": "one order a buyer"}, status_code=409),
    "id in use": JSONResponse({"detail": "this id is another order's"}, status_code=409),
}


def shop(
    home: Path,
    *,
    policy: Policy | None = None,
    capacity: int = 65_536,
    spacing: float = 0.002,
) -> App:
    """The application on the database in that folder."""
    stock = Stock()
    sink = SQLiteSink[Order](home / "shop.db", "orders", type=Order, key="id")
    orders = WriteBehind(
        home / "journal",
        sink,
        type=Order,
        key=attrgetter("id"),
        capacity=capacity,
        spacing=spacing,
    )

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        """What the database has, and what the journal has for it, is sold."""
        with closing(connect(home / "shop.db")) as database:
            units = dict(database.execute("SELECT sku, units FROM stock"))
            placed = database.execute("SELECT id, sku, user, quantity FROM orders")
            stock.fill(units, [*(Order(*row) for row in placed), *orders.recovered])
        yield

    app = App(title="flash sale", policy=policy, resources=[orders], lifespan=lifespan)

    @app.post("/orders")
    async def place(order: Order) -> JSONResponse:
        verdict = stock.reserve(order)
        if verdict != "taken" and verdict != "again":
            return REFUSED[verdict]
        try:
            await orders.put(order)
        except Overloaded:
            if verdict == "taken":
                stock.release(order)
            raise
        return ACCEPTED

    return app


app = shop(folder())
