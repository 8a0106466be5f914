"""What the project promises, against what was measured: `promises.toml` is the list."""

import statistics
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
        at = "" if self.points == ("64",) else f" ({', '.join(self.points)} connections)"
        bound = f"{self.at_most:g} x {self.peer}" if self.peer else f"{self.at_most:g}"
        how = f"{'at each' if self.each else 'median'} of " if len(self.points) > 1 else ""
        return f"{self.work}{at}: {how}{self.figure} of {self.ours} at most {bound}"


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
        said = "not measured" if self.value is None else f"{self.value:.4g}"
        return f"{'kept  ' if self.holds else 'BROKEN'} {said:>12}  {self.promise}"


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
