"""The answer to a scrape: what all workers have counted, and what the program itself has.

Which format is asked for is in Accept (`application/openmetrics-text` is what Prometheus asks first
from 2.5 on), and whether it is compressed in Accept-Encoding, where every scraper says gzip.
"""

import gzip
import os
import sys
from typing import Any

from megahertz.engine import Plane
from megahertz.observe.collect import collect
from megahertz.observe.exposition import (
    OPENMETRICS,
    PROMETHEUS,
    openmetrics_text,
    prometheus_text,
)

SMALL = 1024
"""Bytes below which compressing costs more than it saves."""

LEVEL = 1
"""Of gzip: text of metrics shrinks to a tenth at any of them, and the loop waits for it."""


def exposition(plane: Plane, *, openmetrics: bool = False) -> bytes:
    """What the plane has counted, and what `prometheus_client` of this program has.

    Args:
        plane: of the server.
        openmetrics: in that format, with exemplars where requests are traced.
    """
    metrics = collect(plane)
    if not openmetrics:
        return "\n".join([*prometheus_text(metrics), ""]).encode() + of_users()
    ours = "\n".join([*openmetrics_text(metrics, began=plane.began()), ""]).encode()
    return ours + of_users(openmetrics=True) + b"# EOF\n"


def scraped(plane: Plane, *, accept: str, encoding: str) -> tuple[bytes, dict[str, str]]:
    """The body and the headers for a scraper.

    Args:
        plane: of the server.
        accept: what it takes, of its Accept; "" is anything.
        encoding: its Accept-Encoding.
    """
    openmetrics = _weight(accept, "application/openmetrics-text") > 0
    body = exposition(plane, openmetrics=openmetrics)
    headers = {
        "content-type": OPENMETRICS if openmetrics else PROMETHEUS,
        "vary": "accept, accept-encoding",
    }
    if len(body) >= SMALL and _weight(encoding, "gzip") > 0:
        body = gzip.compress(body, LEVEL)
        headers["content-encoding"] = "gzip"
    return body, headers


def _weight(field: str, name: str) -> float:
    """How much a field of a request (RFC 9110 section 12.4.2) wants `name`; 0: not at all.

    Of versions of OpenMetrics 1.0.0 and 0.0.1 are written the same way here.
    """
    for item in field.split(","):
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        if kind != name:
            continue
        told = dict(part.partition("=")[::2] for part in parameters)
        if told.get("version", "1.0.0") not in ("1.0.0", "0.0.1"):
            continue
        try:
            return float(told.get("q", "1"))
        except ValueError:
            return 0.0
    return 0.0


def of_users(*, openmetrics: bool = False) -> bytes:
    """Metrics that the program has made by `prometheus_client`, as it makes them known itself.

    Of several workers they are those of the one that is asked, unless PROMETHEUS_MULTIPROC_DIR
    names a folder (its documentation, "Multiprocess Mode"): then any process tells those of all,
    also a supervisor, which has not imported the program.
    """
    shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
    client: Any = sys.modules.get("prometheus_client")
    if client is None and not shared:
        return b""
    try:
        import prometheus_client as client
    except ImportError:
        return b""
    registry = client.REGISTRY
    if shared:
        from prometheus_client import multiprocess

        registry = client.CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    if openmetrics:
        from prometheus_client.openmetrics import exposition as theirs

        text: bytes = theirs.generate_latest(registry)  # type: ignore[no-untyped-call]
        return text.removesuffix(b"# EOF\n")
    return bytes(client.generate_latest(registry))
