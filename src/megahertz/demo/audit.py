"""The audit: the buyers' answers against the database, opened from outside.

An order that was acknowledged (200, 201) must be there once. One that was refused (4xx) must not.
One without an answer, or with a 5xx, may be there or not: its buyer was told that it is unknown,
and it is listed, never counted as one of the others.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from megahertz.load import Outcome

NAMED = 10
"""Orders named in a finding; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What the books of one shop say.

    Attributes:
        acknowledged: orders that buyers were told are accepted.
        refused: orders that buyers were told are not.
        unknown: orders whose buyers were told neither.
        stored: orders in the database.
        unknown_stored: of the unknown ones, those that are in the database.
        units: on sale.
        sold: of those.
        findings: what is wrong, with the first few orders that it is wrong for.
    """

    acknowledged: int
    refused: int
    unknown: int
    stored: int
    unknown_stored: int
    units: int
    sold: int
    findings: dict[str, list[int]]

    @property
    def ok(self) -> bool:
        """No finding."""
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"ok": self.ok, **asdict(self)}


def audit(file: Path, outcomes: Iterable[Outcome]) -> Audit:
    """Compares the database with what the buyers were answered."""
    units, rows = _books(file)
    told = _told(outcomes)
    ids = Counter(order for order, _, _ in rows)
    stored = set(ids)
    sold = Counter(sku for _, sku, _ in rows)
    buyers = Counter(user for _, _, user in rows)
    found = {
        "acknowledged and missing": told["acknowledged"] - stored,
        "refused and stored": told["refused"] & stored,
        "stored and never asked for": stored.difference(*told.values()),
        "stored more than once": {order for order, count in ids.items() if count > 1},
        "buyers with more than one order": {user for user, count in buyers.items() if count > 1},
        "SKUs sold beyond the stock": {sku for sku, n in sold.items() if n > units.get(sku, 0)},
    }
    return Audit(
        acknowledged=len(told["acknowledged"]),
        refused=len(told["refused"]),
        unknown=len(told["unknown"]),
        stored=len(rows),
        unknown_stored=len(told["unknown"] & stored),
        units=sum(units.values()),
        sold=sold.total(),
        findings={what: sorted(which)[:NAMED] for what, which in found.items() if which},
    )


def _books(file: Path) -> tuple[dict[int, int], list[tuple[int, int, int]]]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        units = dict(database.execute("SELECT sku, units FROM stock"))
        # NOT INDEXED: rows are read, not the index that promises that they are unique
        rows = database.execute("SELECT id, sku, user FROM orders NOT INDEXED").fetchall()
    return units, rows


def _told(outcomes: Iterable[Outcome]) -> dict[str, set[int]]:
    told: dict[str, set[int]] = {"acknowledged": set(), "refused": set(), "unknown": set()}
    for order, _, status in outcomes:
        told[_meaning(status)].add(order)
    return told


def _meaning(status: int | None) -> str:
    if status is None or status >= 500:
        return "unknown"
    return "acknowledged" if status in (200, 201) else "refused"
