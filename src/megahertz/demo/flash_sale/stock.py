"""The stock in memory: who may still buy.

One worker, one loop: nothing runs between the check and the reservation, so no lock is needed.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import msgspec


class Order(msgspec.Struct, frozen=True, gc=False):
    """One unit for one buyer; `id` is the idempotency key."""

    id: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    sku: int
    user: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1


Verdict = Literal["taken", "again", "no such article", "sold out", "one order a buyer", "id in use"]


class Stock:
    """Units by SKU, the orders that hold them, and the order of each buyer.

    Dicts of numbers and of Structs without GC: the collector passes over them, however many.
    """

    def __init__(self) -> None:
        self._left: dict[int, int] = {}
        self._orders: dict[int, Order] = {}
        self._buyers: dict[int, int] = {}

    def fill(self, units: Mapping[int, int], orders: Iterable[Order]) -> None:
        """Begins with what is on sale, less what was ordered before; an order counts once."""
        self._left = dict(units)
        self._orders = {order.id: order for order in orders}
        self._buyers = {order.user: order.id for order in self._orders.values()}
        for order in self._orders.values():
            self._left[order.sku] -= 1

    def reserve(self, order: Order) -> Verdict:
        """Takes a unit for this order, unless it has one or may not."""
        left = self._left.get(order.sku)
        if left is None:
            return "no such article"
        known = self._orders.get(order.id)
        if known is not None:
            return "again" if known == order else "id in use"
        if order.user in self._buyers:
            return "one order a buyer"
        if left <= 0:
            return "sold out"
        self._left[order.sku] = left - 1
        self._orders[order.id] = order
        self._buyers[order.user] = order.id
        return "taken"

    def release(self, order: Order) -> None:
        """Gives the unit back: the order was not kept."""
        del self._orders[order.id]
        del self._buyers[order.user]
        self._left[order.sku] += 1

    def left(self, sku: int) -> int:
        """Units that may still be ordered."""
        return self._left[sku]
