"""What a plane has counted, as metrics: families with their points, for whoever writes them down.

Theory: what the workers of a server count lies in one segment (`rust/plane`), each writing a part
of its own, and a reader adds the parts. So any worker can tell of all, those that have ended
included: a counter never goes back before the server ends.

Buckets: the segment has 16 to each doubling; what is shown is one a doubling, whose bounds are
bounds there as well, so that no request is counted in the wrong one.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from megahertz.engine import RULES, Plane
from megahertz.observe.families import ENGINE, NAMED, PARSE_ERRORS, PREFIX, ROUTES, Family

CLASSES = ("gone", "1xx", "2xx", "3xx", "4xx", "5xx")

SHORTEST, LONGEST = 16, 35
"""Powers of two of nanoseconds: from 65.5 us to 34.4 s, 20 buckets (client libraries: 5 ms to
10 s in 14). `rust/plane/src/exemplar.rs` has the same."""

EDGES = tuple(1 << power for power in range(SHORTEST, LONGEST + 1))
"""Nanoseconds."""

Labels = tuple[tuple[str, str], ...]
Tally = tuple[str, int, int, list[int], list[tuple[int, int]], list[int]]


class Exemplar(NamedTuple):
    """A request of a bucket that a trace tells more of; its times are in nanoseconds."""

    trace: int
    span: int
    taken: int
    at: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Requests by how long they took.

    Attributes:
        counts: below each of `EDGES`, and all of them: they add up.
        seconds: of all together.
        exemplars: by bucket; none where nothing is traced.
    """

    counts: tuple[int, ...]
    seconds: float
    exemplars: Sequence[Exemplar | None] = ()


class Point(NamedTuple):
    """A value and whose it is."""

    labels: Labels
    value: float | Histogram


Metric = tuple[Family, list[Point]]


def collect(plane: Plane) -> Iterator[Metric]:
    """Every family that the plane of a server has something of."""
    yield from _routes(plane)
    yield from _named(plane)


def _routes(plane: Plane) -> Iterator[Metric]:
    tallies = sorted(plane.tallies(), key=lambda tally: tally[0])
    exemplars = dict(plane.exemplars())
    bounds = Plane.bounds()
    requests, running, duration, aim, fast, refused, observed = ROUTES
    objectives = {name: nearest(ns, bounds) for name, ns in plane.objectives()}
    labels = {tally[0]: of_route(tally[0]) for tally in tallies}
    yield (
        requests,
        [
            Point((*labels[it[0]], ("status", status)), count)
            for it in tallies
            for status, count in zip(CLASSES, it[3], strict=True)
        ],
    )
    yield running, [Point(labels[it[0]], it[1]) for it in tallies]
    yield (
        duration,
        [Point(labels[it[0]], _histogram(it, bounds, exemplars.get(it[0], ()))) for it in tallies],
    )
    aimed = [it for it in tallies if it[0] in objectives]
    yield aim, [Point(labels[it[0]], objectives[it[0]] / 1e9) for it in aimed]
    yield fast, [Point(labels[it[0]], within(it[5], bounds, objectives[it[0]])) for it in aimed]
    for which, family in enumerate((refused, observed)):
        points = [
            Point((*labels[it[0]], ("rule", rule)), counts[which])
            for it in tallies
            for rule, counts in zip(RULES, it[4], strict=False)
            if counts[which]  # most routes have none of most rules
        ]
        yield family, points


def _histogram(
    tally: Tally, bounds: Sequence[int], exemplars: Sequence[tuple[int, int, int, int] | None]
) -> Histogram:
    found = [None if it is None else Exemplar(*it) for it in exemplars]
    return Histogram(cumulated(tally[5], bounds), tally[2] / 1e9, found)


def cumulated(buckets: Sequence[int], bounds: Sequence[int]) -> tuple[int, ...]:
    """Below each of `EDGES`, and all, from the segment's buckets."""
    counts, count, at = [], 0, 0
    for edge in EDGES:
        while at < len(bounds) and bounds[at] <= edge:
            count += buckets[at]
            at += 1
        counts.append(count)
    return (*counts, sum(buckets))


def nearest(nanoseconds: int, bounds: Sequence[int]) -> int:
    """The segment's bound next to it, off by at most 3.2 %: requests are known by their bucket."""
    return min(bounds, key=lambda bound: abs(bound - nanoseconds))


def within(buckets: Sequence[int], bounds: Sequence[int], most: int) -> int:
    """How many took less than a bound."""
    pairs = zip(buckets, bounds, strict=True)
    return sum(count for count, bound in pairs if bound <= most)


def of_route(name: str) -> Labels:
    """`GET /items/{sku}` as its method and its path."""
    method, _, path = name.partition(" ")
    return ("method", method), ("route", path)


def _named(plane: Plane) -> Iterator[Metric]:
    """Whatever is no route's, in the order of `families.py`."""
    found: dict[str, list[Point]] = {}
    for name, _, values in plane.figures():
        family, labels = _family(name)
        if family is None:
            continue
        points = found.setdefault(family.name, [])
        if family.each:
            points += [Point((*labels, ("worker", str(part))), value) for part, value in values]
        elif values:
            points.append(Point(labels, sum(value for _, value in values)))
    found["workers"] = [Point((), len(plane.owners()))]
    for name, family in NAMED.items():
        if found.get(name):
            yield family, sorted(found[name], key=lambda point: point.labels)


def _family(name: str) -> tuple[Family | None, Labels]:
    """What a figure of the plane is told as; None: not at all."""
    bare, _, rest = name.partition("{")
    if not bare.startswith("engine."):
        return NAMED.get(bare), tuple(_labels(rest))
    bare, reason = bare.removeprefix("engine."), rest.rstrip("}")
    if bare in ("refused", "closed") and not reason:
        return None, ()  # their sum
    if bare == "refused" and reason in PARSE_ERRORS:
        return ENGINE["parse"], (("kind", reason),)
    return ENGINE.get(bare), (("reason", reason),) if reason else ()


_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


def _labels(text: str) -> Iterable[tuple[str, str]]:
    for name, value in _LABEL.findall(text):
        yield name, _ESCAPED.sub(lambda found: found[1].replace("n", "\n"), value)


def full(family: Family) -> str:
    """The name that Prometheus has."""
    return PREFIX + family.name
