"""What the project promises, against what was measured: `promises.toml` is the list."""

import statistics
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import FIGURES
from benchmarks.result import Found, median

FILE = Path(__file__).parent / "promises.toml"


@dataclass(frozen=True)
class Promise:
    """A bound on one of our figures; `promises.toml` explains the fields."""

    work: str
    ours: str
    at_most: float
    peer: str | None = None
    figure: str = "cpu_us"
    points: tuple[str, ...] = ("64",)
    each: bool = False

    def __str__(self) -> str:
        """As a reader says it."""
        where = "" if self.points == ("64",) else f" at {', '.join(self.points)} connections"
        if len(self.points) > 1:
            where = f"{where}, {'each of them' if self.each else 'the median'}"
        return f"{self.work}{where}: {self._bounded} at most {self._bound}"

    @property
    def _bounded(self) -> str:
        return f"{FIGURES[self.figure].head} of {self.ours}"

    @property
    def _bound(self) -> str:
        return f"{self.at_most:g} x {self.peer}" if self.peer else self.said(self.at_most)

    def said(self, value: float) -> str:
        """A measured value as the bound is written: a ratio, or the figure itself."""
        return f"{value:.3g}" if self.peer else FIGURES[self.figure].value(value)


@dataclass(frozen=True)
class Verdict:
    """A promise and the figure it is about; None: it was not measured."""

    promise: Promise
    value: float | None

    @property
    def holds(self) -> bool:
        """Also False when nothing was measured: what nobody knows is not kept."""
        return self.value is not None and self.value <= self.promise.at_most

    def __str__(self) -> str:
        """One line for a terminal."""
        return f"{'kept  ' if self.holds else 'BROKEN'} {self.said:>12}  {self.promise}"

    @property
    def said(self) -> str:
        """The figure."""
        return "not measured" if self.value is None else self.promise.said(self.value)


def promises(file: Path = FILE) -> list[Promise]:
    """All of the file, in its order."""
    listed = tomllib.loads(file.read_text())["promise"]
    return [Promise(**{**item, "points": tuple(item.get("points", ("64",)))}) for item in listed]


def judge(promise: Promise, found: Found | None) -> Verdict:
    """One promise against the result of its work."""
    values = [_value(promise, found, point) if found else None for point in promise.points]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Verdict(promise, None)
    return Verdict(promise, max(known) if promise.each else statistics.median(known))


def judged(find: Callable[[str], Found | None]) -> list[Verdict]:
    """All promises; `find` gives the result of a work."""
    return [judge(promise, find(promise.work)) for promise in promises()]


def _value(promise: Promise, found: Found, point: str) -> float | None:
    ours = median(found, point, promise.ours, promise.figure)
    if promise.peer is None or ours is None:
        return ours
    theirs = median(found, point, promise.peer, promise.figure)
    return ours / theirs if theirs else None
