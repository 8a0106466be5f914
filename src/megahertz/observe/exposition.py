"""Metrics written down for scrapers: Prometheus's text, and OpenMetrics.

Prometheus: prometheus.io/docs/instrumenting/exposition_formats. OpenMetrics 1.0:
github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md; there a counter's family
has no `_total` in its name, exemplars stand behind buckets, `_created` says since when is counted,
and the last line is `# EOF`.
"""

import os
from collections.abc import Iterable, Iterator, Sequence

from megahertz.observe.collect import EDGES, Exemplar, Histogram, Labels, Metric, full
from megahertz.observe.families import Family
from megahertz.observe.sources import escaped

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

EDGE_LABELS = (*(repr(edge / 1e9) for edge in EDGES), "+Inf")


def prometheus_text(metrics: Iterable[Metric]) -> Iterator[str]:
    """Lines of Prometheus's text format 0.0.4, without their ends."""
    for family, points in metrics:
        name = full(family)
        yield f"# HELP {name} {family.told}"
        yield f"# TYPE {name} {family.kind}"
        for point in points:
            if isinstance(point.value, Histogram):
                yield from _histogram(name, point.labels, point.value, exemplars=False)
            else:
                yield f"{name}{_braced(point.labels)} {_number(point.value)}"


def openmetrics_text(metrics: Iterable[Metric], *, began: float) -> Iterator[str]:
    """Lines of OpenMetrics 1.0 but for the last, `# EOF`.

    Args:
        metrics: of `collect`.
        began: since when all of them were counted, in seconds since 1970. With
            PROMETHEUS_DISABLE_CREATED_SERIES, as prometheus-client has it, that is not told.
    """
    created = "PROMETHEUS_DISABLE_CREATED_SERIES" not in os.environ
    for family, points in metrics:
        name = full(family).removesuffix("_total")
        yield f"# TYPE {name} {family.kind}"
        if (unit := _unit(family)) is not None:
            yield f"# UNIT {name} {unit}"
        yield f"# HELP {name} {escaped(family.told)}"
        for point in points:
            if isinstance(point.value, Histogram):
                yield from _histogram(name, point.labels, point.value, exemplars=True)
            else:
                end = "_total" if family.kind == "counter" else ""
                yield f"{name}{end}{_braced(point.labels)} {_number(point.value)}"
            if created and family.kind != "gauge":
                yield f"{name}_created{_braced(point.labels)} {began:.3f}"


def _unit(family: Family) -> str | None:
    """A family's unit has to be the end of its name."""
    base = family.name.removesuffix("_total")
    return next((unit for unit in ("seconds", "bytes") if base.endswith(f"_{unit}")), None)


def _histogram(name: str, labels: Labels, found: Histogram, *, exemplars: bool) -> Iterator[str]:
    told: Sequence[Exemplar | None] = found.exemplars if exemplars else ()
    for index, (edge, count) in enumerate(zip(EDGE_LABELS, found.counts, strict=True)):
        shown = told[index] if index < len(told) else None
        behind = "" if shown is None else _exemplar(shown)
        yield f"{name}_bucket{_braced((*labels, ('le', edge)))} {count}{behind}"
    yield f"{name}_sum{_braced(labels)} {found.seconds!r}"
    yield f"{name}_count{_braced(labels)} {found.counts[-1]}"


def _exemplar(it: Exemplar) -> str:
    ids = f'trace_id="{it.trace:032x}",span_id="{it.span:016x}"'
    return f" # {{{ids}}} {it.taken / 1e9!r} {it.at / 1e9:.3f}"


def _braced(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
