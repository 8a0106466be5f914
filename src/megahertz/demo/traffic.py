"""Who comes to the sale: buyers, second tries, and orders that no shop can take."""

from dataclasses import dataclass

from megahertz.load import Plan, Template, statuses

CONNECTIONS = 400
"""As in the report whose figures the demo is held against."""

TIMEOUT = 5.0
"""A buyer's patience; what comes later is a failure."""

SKUS = 4
_JSON = (("content-type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Phase:
    """One kind of day at the shop.

    Attributes:
        name: in tables and files.
        units: of each SKU.
    """

    name: str
    units: int

    def stock(self) -> dict[int, int]:
        """Units by SKU."""
        return dict.fromkeys(range(1, SKUS + 1), self.units)


# More than anybody orders in a phase; and the 10,000 units of the report, over four SKUs.
PHASES = (Phase("orders", 10_000_000), Phase("rush", 2_500))


def plan(url: str, *, seconds: float, connections: int = CONNECTIONS) -> Plan:
    """The requests of a phase, every one recorded for the audit."""
    return Plan(
        url=url + "/orders",
        mix=MIX,
        connections=connections,
        warmup=min(1.0, seconds / 4),
        duration=seconds,
        timeout=TIMEOUT,
        record=True,
    )


def _order(
    weight: float, expect: str, user: str = "{id}", sku: str = "", amount: int = 1
) -> Template:
    sku = sku or f"{{rand:1-{SKUS}}}"
    body = f'{{"id": {{id}}, "sku": {sku}, "user": {user}, "quantity": {amount}}}'
    return Template(
        method="POST",
        headers=_JSON,
        body=body.encode(),
        weight=weight,
        expect=statuses(expect),
    )


MIX = (
    _order(94, "201,410"),
    # a thousand buyers who come again and again: one order each, then 409
    _order(2, "201,409,410", user="{rand:1-1000}"),
    _order(2, "404", sku="99"),
    _order(2, "422", amount=2),
)
