"""Metrics sent to a collector by OTLP, for who does not scrape."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal

from megahertz.engine import Plane, plane
from megahertz.errors import BadSettings, Misused
from megahertz.observe.collect import collect
from megahertz.observe.collector import exporter_of, missing

log = logging.getLogger("megahertz")

INTERVAL = 60.0
"""Seconds (OTEL_METRIC_EXPORT_INTERVAL: 60,000 ms)."""

LAST_METRICS = 5.0
"""Seconds at the end for the last export, as for spans."""


class MetricsExport:
    """A resource: `App(metrics_url="/metrics", resources=[MetricsExport("http://host:4318")])`.

    It sends what `/metrics` tells, of all workers. Each worker of a server may have one: only the
    oldest that lives sends, and the next one goes on when it has ended; with delta temporality
    what was counted around that moment, an interval's worth at most, may be told twice or not.

    Args:
        exporter: the address of a collector, `http://host:4318` (OTLP over HTTP) or
            `grpc://host:4317` (OTLP over gRPC; `grpcs://` with TLS), or a metric exporter of
            OpenTelemetry's SDK.
        interval: seconds between two exports; OTEL_METRIC_EXPORT_INTERVAL where not given.
        temporality: "cumulative" or "delta", of counters and histograms;
            OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE where not given, else cumulative.
        service: its name; OTEL_SERVICE_NAME where it is not given.
        resource: further attributes.
        where: gives what is read; the server's that runs this process (`mhz run`) if not given,
            `lambda: app.plane` elsewhere.

    Raises:
        BadSettings: an address that is none, or another temporality or interval.
        Misused: OpenTelemetry is not installed.
    """

    def __init__(
        self,
        exporter: Any,
        *,
        interval: float | None = None,
        temporality: Literal["cumulative", "delta"] | None = None,
        service: str | None = None,
        resource: Mapping[str, Any] | None = None,
        where: Callable[[], Plane | None] = plane,
    ) -> None:
        self._interval = _interval(interval)
        self._delta = _is_delta(temporality)
        attributes = dict(resource or {})
        if service is not None:
            attributes["service.name"] = service
        self._resource = _resource(attributes)
        self._exporter = _made(exporter)
        self._where = where
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> "MetricsExport":
        """Begins to send, in a thread.

        Raises:
            Misused: there is nothing to read: neither `where` nor a server.
        """
        from megahertz.observe.otlp import Conversion

        found = self._where()
        if found is None:
            raise Misused("MetricsExport needs `mhz run`, or where=lambda: app.plane")
        began = int(found.began() * 1e9)
        made = Conversion(self._resource, began=began, delta=self._delta)
        self._thread = threading.Thread(
            target=self._run, args=(found, made), name="megahertz-export", daemon=True
        )
        self._thread.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Sends once more, and waits for that a bounded time: a collector may have gone."""
        self._over.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, LAST_METRICS)

    def _run(self, found: Plane, made: Any) -> None:
        over = False
        while not over:
            over = self._over.wait(self._interval)
            data = made.data(collect(found))
            if not leads(found):
                continue
            try:
                self._exporter.export(data)
            except Exception as error:
                log.warning("metrics could not be sent: %s", error)
        self._exporter.shutdown()


def leads(found: Plane) -> bool:
    """Whether this process is the one that speaks for all: the first part's owner, or one that
    has no part, as a supervisor."""
    owners = [pid for _, pid, _ in found.owners()]
    return os.getpid() not in owners or owners[0] == os.getpid()


def _interval(seconds: float | None) -> float:
    if seconds is None:
        told = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL")
        seconds = INTERVAL if told is None else float(told) / 1e3
    if seconds <= 0:
        raise BadSettings(f"MetricsExport(interval={seconds!r}): above 0")
    return seconds


def _is_delta(temporality: str | None) -> bool:
    name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    found = temporality or os.environ.get(name, "cumulative").lower()
    if found not in ("cumulative", "delta", "lowmemory"):
        raise BadSettings(f"MetricsExport(temporality={found!r}): cumulative or delta")
    return found != "cumulative"


def _resource(attributes: dict[str, Any]) -> Any:
    try:
        from opentelemetry.sdk.resources import Resource
    except ImportError as error:
        raise missing("opentelemetry-sdk", "MetricsExport") from error
    return Resource.create(attributes)


def _made(exporter: Any) -> Any:
    if not isinstance(exporter, str):
        return exporter
    return exporter_of(exporter, "metrics", who="MetricsExport")
