"""Spans of requests by the SDK of OpenTelemetry; imported where it is installed.

Attributes are those of its stable HTTP conventions (opentelemetry.io/docs/specs/semconv/http,
"HTTP server span").
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

from opentelemetry import context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from megahertz.engine import WEBSOCKET, Exchange, Failed, Gate, Route, TraceContext
from megahertz.observe import otel
from megahertz.observe.outcome import Done, begun
from megahertz.observe.secrets import Secrets

CHOSEN: ContextVar[TraceContext | None] = ContextVar("megahertz-chosen", default=None)
"""The request whose span is being made."""


class Ids(RandomIdGenerator):
    """Ids of spans: those that we have chosen where a request begins, else random ones."""

    def generate_trace_id(self) -> int:
        """Of a trace that begins here."""
        chosen = CHOSEN.get()
        return super().generate_trace_id() if chosen is None else chosen.numbers[0]

    def generate_span_id(self) -> int:
        """Of a span."""
        chosen = CHOSEN.get()
        return super().generate_span_id() if chosen is None else chosen.numbers[1]

    def is_trace_id_random(self) -> bool:
        """All of its bits are."""
        return True


def provider_of(
    exporter: SpanExporter | None, sample: float, resource: Resource, queue: int
) -> TracerProvider:
    """A provider whose sampler decides as the engine does, and whose exporter has a thread.

    Args:
        exporter: called in that thread; None: spans are recorded and go nowhere.
        sample: of traces of users' own that begin outside of requests.
        resource: on every span.
        queue: spans that wait for the exporter; the oldest are dropped when it is full.
    """
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sample)),
        resource=resource,
        id_generator=Ids(),
        shutdown_on_exit=False,
    )
    if exporter is None:
        return provider
    batch = min(512, queue)  # the SDK's own, of a queue of 2,048
    processor = BatchSpanProcessor(exporter, max_queue_size=queue, max_export_batch_size=batch)
    provider.add_span_processor(processor)
    return provider


class Spans:
    """Makes the spans of requests.

    Args:
        provider: of the SDK.
        secrets: what is hidden in query strings.
    """

    def __init__(self, provider: trace.TracerProvider, secrets: Secrets) -> None:
        self._tracer = provider.get_tracer("megahertz")
        self._secrets = secrets

    def run(
        self, found: TraceContext, call: Callable[[], Any], route: Route, failed: Failed
    ) -> Any:
        """Answers a request inside a span of its own."""
        exchange = found.exchange
        span = self._begin(found, exchange, route)
        done: Done = partial(_end, span)
        if route.gate is not None:
            done = partial(_exemplify, done, route.gate, span, time.monotonic_ns())
        return begun(call, exchange, route, failed, done)

    def _begin(self, found: TraceContext, exchange: Exchange, route: Route) -> Span:
        parent = otel.parent_context(found)
        token = CHOSEN.set(found)
        try:
            span = self._tracer.start_span(
                f"{method(exchange, route)} {route.path}".rstrip(),
                parent,
                SpanKind.SERVER,
                self._attributes(exchange, route),
            )
        finally:
            CHOSEN.reset(token)
        # Not detached: the context is the request's own, and ends with it.
        context.attach(trace.set_span_in_context(span, parent))
        return span

    def _attributes(self, exchange: Exchange, route: Route) -> dict[str, Any]:
        known = method(exchange, route)
        found = {
            "http.request.method": known,
            "url.scheme": "https" if exchange.secure else "http",
            "url.path": exchange.raw_path.decode("latin-1"),
            "network.protocol.version": exchange.version,
        }
        if known == "_OTHER":
            found["http.request.method_original"] = exchange.method
        if exchange.query:
            found["url.query"] = self._secrets.query(exchange.query.decode("latin-1"))
        if route.path:
            found["http.route"] = route.path
        agent = exchange.header("user-agent")
        if agent is not None:
            found["user_agent.original"] = agent
        return found | _addresses(exchange)


METHODS = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
"""What the conventions know; any other is `_OTHER`, since clients choose it."""


def method(exchange: Exchange, route: Route) -> str:
    """For names and attributes."""
    if WEBSOCKET in route.methods:
        return "GET"
    return exchange.method if exchange.method in METHODS else "_OTHER"


def _addresses(exchange: Exchange) -> dict[str, Any]:
    """Without `client.port`, which the conventions leave to who asks for it."""
    found: dict[str, Any] = {}
    asked = exchange.header("host") or ""
    host, _, port = asked.rpartition(":")
    if host and port.isdigit():
        found |= {"server.address": host, "server.port": int(port)}
    elif asked:
        found["server.address"] = asked
    peer = exchange.peer
    if peer is not None:
        found["client.address"] = peer[0]
    return found


def _exemplify(done: Done, gate: Gate, span: Span, began: int, *how: Any) -> None:
    """The trace can be found from the bucket of its request (OpenMetrics, "Exemplars")."""
    its = span.get_span_context()
    gate.exemplify(its.trace_id, its.span_id, time.monotonic_ns() - began)
    done(*how)


def _end(span: Span, status: int | None, error: BaseException | None, broken: bool) -> None:
    if status is not None:
        span.set_attribute("http.response.status_code", status)
    if error is not None and (broken or status is None or status >= 500):
        span.record_exception(error)
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(Status(StatusCode.ERROR, str(error)))
    elif status is not None and status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))
    span.end()
