"""The last spans of this process, kept for who looks at it: slow requests, a trace drawn.

A processor of OpenTelemetry's SDK, by its shape (`on_start`, `on_end`): it keeps what has ended,
as the SDK has it, and makes it plain only when somebody asks.
"""

import time
from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar
from weakref import WeakSet

import msgspec

KEPT = 1024
"""Spans that are kept: some 3.5 KiB each, and a minute of a service that records 1 % of 1,000
requests a second (Go's x/net/trace: 10 of each kind)."""

KINDS = ("internal", "server", "client", "producer", "consumer")


class Span(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One span, as plain data.

    Attributes:
        trace: its trace's id, 32 hex digits.
        span: its own, 16.
        parent: of the span above it; empty where it is a root.
        name: its own.
        service: who has recorded it.
        kind: internal, server, client, producer or consumer.
        began: nanoseconds since 1970.
        ended: likewise; 0 while it goes on.
        error: why it failed; None where it did not.
        status: of HTTP; None where it has none.
        peer: the address that a client's span is for; empty where it says none.
    """

    trace: str
    span: str
    parent: str = ""
    name: str = ""
    service: str = ""
    kind: str = "internal"
    began: int = 0
    ended: int = 0
    error: str | None = None
    status: int | None = None
    peer: str = ""

    @property
    def seconds(self) -> float:
        """How long it took; 0.0 while it goes on, and where clocks disagree with themselves."""
        return max(0, self.ended - self.began) / 1e9 if self.ended else 0.0


class Kept:
    """Keeps the last spans that have ended.

    Args:
        most: so many.
    """

    all: ClassVar["WeakSet[Kept]"] = WeakSet()

    def __init__(self, most: int = KEPT) -> None:
        self._spans: deque[Any] = deque(maxlen=most)
        Kept.all.add(self)

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing: what has not ended is seen as a request that waits."""

    def _on_ending(self, span: Any) -> None:
        """Nothing."""

    def on_end(self, span: Any) -> None:
        """Keeps it."""
        self._spans.append(span)

    def shutdown(self) -> None:
        """Forgets them."""
        self._spans.clear()

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """There is nothing to wait for."""
        return True

    def spans(self) -> list[Any]:
        """As the SDK has them, in the order in which they ended."""
        return list(self._spans)


def kept(trace: str | None = None, *, since: int = 0) -> list[Span]:
    """The spans that this process has kept.

    Args:
        trace: only of this trace.
        since: only those that ended then or later; nanoseconds since 1970.
    """
    return [plain(span) for span in _found(trace, since)]


def _found(trace: str | None, since: int) -> Iterator[Any]:
    wanted = None if trace is None else int(trace, 16)
    for ring in list(Kept.all):
        for span in ring.spans():
            if (span.end_time or 0) >= since and wanted in (None, span.context.trace_id):
                yield span


def plain(span: Any) -> Span:
    """A span of the SDK's."""
    values = span.attributes or {}
    failed = span.status.status_code.name == "ERROR"
    return Span(
        trace=f"{span.context.trace_id:032x}",
        span=f"{span.context.span_id:016x}",
        parent="" if span.parent is None else f"{span.parent.span_id:016x}",
        name=str(span.name),
        service=str(span.resource.attributes.get("service.name", "")),
        kind=span.kind.name.lower(),
        began=span.start_time or 0,
        ended=span.end_time or 0,
        error=(span.status.description or "failed") if failed else None,
        status=_number(values.get("http.response.status_code")),
        peer=peer_of(values),
    )


def peer_of(values: Any) -> str:
    """Whom a span of a client's asks: what the conventions call it, the likeliest first."""
    for name in ("peer.service", "db.system.name", "messaging.system", "server.address"):
        if value := values.get(name):
            port = values.get("server.port") if name == "server.address" else None
            return f"{value}:{port}" if port else str(value)
    return ""


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None


class Slow(msgspec.Struct, kw_only=True):
    """A request that took long, with what it spent that on."""

    at: float
    seconds: float
    name: str
    trace: str
    status: int | None
    error: str | None
    spans: list[Span]


def slowest(most: int, *, within: float) -> list[Slow]:
    """The requests that took longest of those that ended in the last `within` seconds."""
    found = list(_found(None, time.time_ns() - int(within * 1e9)))
    entries = [span for span in found if span.kind.name == "SERVER"]
    entries.sort(key=lambda span: span.start_time - span.end_time)
    wanted = {span.context.trace_id for span in entries[:most]}
    # Plain is what costs: of the few that are told alone.
    traces: dict[str, list[Span]] = {}
    for span in (plain(span) for span in found if span.context.trace_id in wanted):
        traces.setdefault(span.trace, []).append(span)
    return [
        Slow(
            at=span.ended / 1e9,
            seconds=span.seconds,
            name=span.name,
            trace=span.trace,
            status=span.status,
            error=span.error,
            spans=sorted(traces[span.trace], key=lambda one: one.began),
        )
        for span in map(plain, entries[:most])
    ]
