"""Two runs side by side: what `mhz load --json` wrote of each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.table import Table

from megahertz.errors import BadSettings
from megahertz.load.table import duration

Better = Literal["higher", "lower"]

# Key of the report, its name, which way is better.
_FIGURES: tuple[tuple[tuple[str, ...], str, Better], ...] = (
    (("qps",), "answers/s", "higher"),
    (("latency", "mean"), "mean", "lower"),
    (("latency", "p50"), "p50", "lower"),
    (("latency", "p90"), "p90", "lower"),
    (("latency", "p99"), "p99", "lower"),
    (("latency", "p999"), "p99.9", "lower"),
    (("latency", "max"), "max", "lower"),
)

_ASKED = ("url", "connections", "rate", "stages", "open_loop", "http2", "lanes", "keepalive")


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of both runs.

    Attributes:
        name: of the figure; with that of the request before it, where it is of one.
        before: in the first run.
        after: in the second.
        better: which way is.
    """

    name: str
    before: float
    after: float
    better: Better

    @property
    def change(self) -> float:
        """As a share of the first; 0 where both are 0."""
        if not self.before:
            return 0.0 if not self.after else float("inf")
        return self.after / self.before - 1

    @property
    def worse(self) -> float:
        """How much worse the second is, as a share; below 0 it is better."""
        return self.change if self.better == "lower" else -self.change


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs.

    Attributes:
        differences: figure by figure.
        unlike: what was asked for differently, so that the figures may mean different things.
    """

    differences: tuple[Difference, ...]
    unlike: dict[str, tuple[Any, Any]]

    def worst(self) -> float:
        """The largest share by which a figure is worse."""
        return max(each.worse for each in self.differences)


def compare(before: Path, after: Path) -> Comparison:
    """Compares two files.

    Raises:
        BadSettings: one of them is not what `mhz load --json` writes.
    """
    one, two = _read(before), _read(after)
    found = [_difference(one, two, "", figure) for figure in _FIGURES]
    found.append(Difference("errors", _errors(one), _errors(two), "lower"))
    names = [name for name in one.get("names", {}) if name in two.get("names", {})]
    if len(names) > 1:
        found += [
            _difference(one["names"][name], two["names"][name], f"{name}: ", figure)
            for name in names
            for figure in _FIGURES
            if figure[1] in ("answers/s", "p50", "p99")
        ]
    unlike = {key: (one.get(key), two.get(key)) for key in _ASKED if one.get(key) != two.get(key)}
    return Comparison(tuple(found), unlike)


def _difference(
    one: Any, two: Any, prefix: str, figure: tuple[tuple[str, ...], str, Better]
) -> Difference:
    keys, name, better = figure
    for key in keys:
        one, two = one[key], two[key]
    return Difference(prefix + name, float(one), float(two), better)


def _errors(run: dict[str, Any]) -> float:
    lost = sum(run["failures"].values())
    return float((run["unexpected"] + lost) / max(1, run["requests"] + lost))


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
        _ = [found[key] for key in ("qps", "requests", "unexpected", "failures")]
        _ = [found["latency"][keys[-1]] for keys, _, _ in _FIGURES if keys[0] == "latency"]
    except OSError as error:
        raise BadSettings(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadSettings(f"{file}: not a report of mhz load --json ({error})") from error
    return dict(found)


def comparison(found: Comparison, *, within: float) -> Table:
    """For a terminal; what is worse by more than `within` is red, what is better is green."""
    view = Table(title="two runs", title_justify="left")
    view.add_column(style="bold")
    for column in ("before", "after", "change"):
        view.add_column(column, justify="right")
    for each in found.differences:
        colour = "red" if each.worse > within else "green" if each.worse < -within else "dim"
        one, two = (_shown(each.name, value) for value in (each.before, each.after))
        view.add_row(each.name, one, two, f"[{colour}]{each.change:+.1%}")
    return view


def _shown(name: str, value: float) -> str:
    if name == "errors":
        return f"{value:.3%}"
    return f"{value:,.0f}" if name.endswith("answers/s") else duration(value)
