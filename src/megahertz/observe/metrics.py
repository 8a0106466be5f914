"""Metrics of routes in Prometheus's text format, right whichever worker is asked.

Theory: what the workers of a server count lies in one segment (`rust/plane/src/tally.rs`), each
writing a page of its own, and a reader adds the pages. So one scrape of any worker has the counts
of all, those of workers that have ended included: a counter never goes back before the server
ends.

Buckets: the segment has 16 to each doubling; what is shown is one a doubling, whose bounds are
bounds there as well, so that no request is counted in the wrong one.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from megahertz.engine import Plane

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of the answer (prometheus.io/docs/instrumenting/exposition_formats)."""

CLASSES = ("gone", "1xx", "2xx", "3xx", "4xx", "5xx")

SHORTEST, LONGEST = 16, 35
"""Powers of two of nanoseconds: from 65.5 us to 34.4 s, 20 buckets (client libraries: 5 ms to
10 s in 14)."""

_HEADS = {
    "requests_total": ("counter", "Requests that ended, by the class of their status."),
    "requests_running": ("gauge", "Requests that are being answered."),
    "request_duration_seconds": ("histogram", "From the parsed request to its answer."),
    "refused_total": ("counter", "Requests that a rule refused before their handler."),
    "observed_refusals_total": ("counter", "Requests that a rule would have refused."),
}

Tally = tuple[str, int, int, list[int], list[tuple[int, int]], list[int]]


def exposition(plane: Plane, rules: Sequence[str]) -> bytes:
    """What the plane has counted, and what `prometheus_client` of this program has.

    Args:
        plane: of the server.
        rules: names of the rules that refuse, in the engine's order.
    """
    tallies = sorted(plane.tallies(), key=lambda tally: tally[0])
    lines, bounds = list[str](), Plane.bounds()
    for name, (kind, told) in _HEADS.items():
        lines += [f"# HELP megahertz_{name} {told}", f"# TYPE megahertz_{name} {kind}"]
        for tally in tallies:
            lines += _lines(name, tally, rules, bounds)
    return "\n".join([*lines, ""]).encode() + of_users()


def _lines(name: str, tally: Tally, rules: Sequence[str], bounds: Sequence[int]) -> Iterator[str]:
    route, running, nanoseconds, classes, refused, buckets = tally
    labels = _labels(route)
    metric = f"megahertz_{name}"
    if name == "requests_total":
        for told, count in zip(CLASSES, classes, strict=True):
            yield f'{metric}{{{labels},status="{told}"}} {count}'
    elif name == "requests_running":
        yield f"{metric}{{{labels}}} {running}"
    elif name == "request_duration_seconds":
        yield from _histogram(metric, labels, buckets, bounds)
        yield f"{metric}_sum{{{labels}}} {nanoseconds / 1e9!r}"
        yield f"{metric}_count{{{labels}}} {sum(buckets)}"
    else:
        observed = name.startswith("observed")
        for rule, counts in zip(rules, refused, strict=False):
            if not counts[observed]:
                continue  # most routes have none of most rules
            yield f'{metric}{{{labels},rule="{rule}"}} {counts[observed]}'


def _histogram(
    metric: str, labels: str, buckets: Sequence[int], bounds: Sequence[int]
) -> Iterator[str]:
    edges = [1 << power for power in range(SHORTEST, LONGEST + 1)]
    count, at = 0, 0
    for edge in edges:
        while at < len(bounds) and bounds[at] <= edge:
            count += buckets[at]
            at += 1
        yield f'{metric}_bucket{{{labels},le="{edge / 1e9!r}"}} {count}'
    yield f'{metric}_bucket{{{labels},le="+Inf"}} {sum(buckets)}'


def _labels(route: str) -> str:
    """`GET /items/{sku}` as its method and its path."""
    method, _, path = route.partition(" ")
    return f'method="{_escaped(method)}",route="{_escaped(path)}"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def of_users() -> bytes:
    """Metrics that the program has made by `prometheus_client`, as it makes them known itself.

    Of several workers they are those of the one that is asked, unless PROMETHEUS_MULTIPROC_DIR
    names a folder (its documentation, "Multiprocess Mode").
    """
    client: Any = sys.modules.get("prometheus_client")
    if client is None:
        return b""
    registry = client.REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        registry = client.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return bytes(client.generate_latest(registry))
