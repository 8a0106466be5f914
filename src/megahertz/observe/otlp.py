"""Metrics as OpenTelemetry has them; imported where its SDK is installed.

Names are those of its conventions where they have one, else ours with a dot behind the first word
and without the unit, which a converter to Prometheus puts behind again: `megahertz.gc_pause` in `s`
becomes `megahertz_gc_pause_seconds_total`.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.sdk.metrics import Exemplar as Traced
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as Distribution
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from megahertz.observe.collect import EDGES, Histogram, Labels, Point
from megahertz.observe.collect import Metric as Told
from megahertz.observe.families import Family

BOUNDS = tuple(edge / 1e9 for edge in EDGES)

ATTRIBUTES = {
    "method": "http.request.method",
    "route": "http.route",
    "generation": "cpython.gc.generation",
}
"""Labels that the conventions have a name for."""

Before = dict[tuple[str, Labels], float | Histogram]


def name_of(family: Family) -> str:
    """By OpenTelemetry's conventions."""
    base = family.name.removesuffix("_total")
    for unit in ("_seconds", "_bytes"):
        base = base.removesuffix(unit)
    return family.otel or f"megahertz.{base}"


class Conversion:
    """From families to what an exporter of OpenTelemetry takes, one export after the other.

    Args:
        resource: whose they are.
        began: nanoseconds since 1970, since when is counted.
        delta: tells what was added since the export before, instead of all.
    """

    def __init__(self, resource: Resource, *, began: int, delta: bool) -> None:
        self._resource = resource
        self._began = self._since = began
        self._delta = delta
        self._before: Before = {}
        kinds = AggregationTemporality
        self._temporality = kinds.DELTA if delta else kinds.CUMULATIVE

    def data(self, metrics: Iterable[Told], *, now: int | None = None) -> MetricsData:
        """All of it, at this moment (nanoseconds since 1970)."""
        now = now or time.time_ns()
        made = [self._metric(family, points, now) for family, points in metrics if points]
        if self._delta:
            self._since = now
        scope = ScopeMetrics(InstrumentationScope("megahertz"), made, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])

    def _metric(self, family: Family, points: Iterable[Point], now: int) -> Metric:
        data: Any
        if family.kind == "histogram":
            spread = [self._distribution(family, point, now) for point in points]
            data = Distribution(spread, self._temporality)
        elif family.kind == "counter":
            numbers = [self._number(family, point, now) for point in points]
            data = Sum(numbers, self._temporality, is_monotonic=True)
        elif family.otel:
            # An up-down counter by the conventions, and told whole whatever the temporality.
            numbers = [_plain(point, now, self._began) for point in points]
            data = Sum(numbers, AggregationTemporality.CUMULATIVE, is_monotonic=False)
        else:
            data = Gauge([_plain(point, now, 0) for point in points])
        return Metric(name_of(family), family.told, family.unit, data)

    def _number(self, family: Family, point: Point, now: int) -> NumberDataPoint:
        value = point.value
        assert not isinstance(value, Histogram)
        before = self._take(family, point)
        value -= before if isinstance(before, int | float) else 0
        return NumberDataPoint(_attributes(point.labels), self._since, now, value)

    def _distribution(self, family: Family, point: Point, now: int) -> HistogramDataPoint:
        found, before = point.value, self._take(family, point)
        assert isinstance(found, Histogram)
        counts, seconds = _each(found.counts), found.seconds
        if isinstance(before, Histogram):
            pairs = zip(counts, _each(before.counts), strict=True)
            counts = [count - less for count, less in pairs]
            seconds -= before.seconds
        unknown: Any = None  # the segment keeps no least and no most
        return HistogramDataPoint(
            _attributes(point.labels),
            self._since,
            now,
            sum(counts),
            seconds,
            counts,
            BOUNDS,
            unknown,
            unknown,
            [_traced(it) for it in found.exemplars if it is not None and it.at > self._since],
        )

    def _take(self, family: Family, point: Point) -> float | Histogram | None:
        """What the export before has told of it; nothing where all is told each time."""
        if not self._delta:
            return None
        key = (family.name, point.labels)
        before = self._before.get(key)
        self._before[key] = point.value
        return before


def _plain(point: Point, now: int, since: int) -> NumberDataPoint:
    assert not isinstance(point.value, Histogram)
    return NumberDataPoint(_attributes(point.labels), since, now, point.value)


def _attributes(labels: Labels) -> Mapping[str, str]:
    return {ATTRIBUTES.get(name, name): value for name, value in labels}


def _each(counts: tuple[int, ...]) -> list[int]:
    """Of each bucket by itself."""
    return [count - below for count, below in zip(counts, (0, *counts), strict=False)]


def _traced(it: Any) -> Traced:
    return Traced({}, it.taken / 1e9, it.at, it.span, it.trace)
