"""The figures of a result: how each is headed, written and compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Spread = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One kind of figure.

    Attributes:
        head: of its column.
        form: of the scaled value.
        scale: what the value is multiplied with first.
        unit: behind a value that stands alone.
        ranged: shown with its least and greatest round.
        more: a greater one is better.
        what: how a sentence begins that names who has less of it (or more, where that is better).
    """

    head: str
    form: str
    scale: float = 1.0
    unit: str = ""
    ranged: bool = False
    more: bool = False
    what: str = ""

    def value(self, value: float) -> str:
        """As in a table."""
        return self.form.format(value * self.scale)

    def cell(self, spread: Spread) -> str:
        """The median, with the range where it is shown."""
        if not self.ranged:
            return self.value(spread["median"])
        low, high = self.value(spread["min"]), self.value(spread["max"])
        return f"{self.value(spread['median'])} [{low}-{high}]"

    def is_better(self, one: Spread, other: Spread) -> bool:
        """Whether `one` has the better median."""
        if self.more:
            return bool(one["median"] > other["median"])
        return bool(one["median"] < other["median"])


FIGURES: Mapping[str, Figure] = {
    "cpu_us": Figure("CPU us", "{:.2f}", unit=" us", ranged=True, what="Less CPU a request"),
    "rps": Figure("requests/s", "{:,.0f}", more=True, what="More answers a second"),
    "p99_us": Figure("P99 ms", "{:.2f}", 1e-3, " ms", what="A lower P99"),
    "rss": Figure("MB", "{:.0f}", 1e-6, " MB", what="Less memory"),
    "idle_cpu": Figure("CPU, none open", "{:.3f} %", 100.0, what="Less CPU with none open"),
    "held_cpu": Figure("CPU, all open", "{:.3f} %", 100.0, what="Less CPU with all open"),
    "bytes": Figure("bytes each", "{:,.0f}", unit=" bytes", what="Fewer bytes a connection"),
}
"""By name, in the order of columns."""


def overlap(one: Spread, other: Spread) -> bool:
    """Whether some round of one was no better than some round of the other."""
    return bool(one["min"] <= other["max"] and other["min"] <= one["max"])
