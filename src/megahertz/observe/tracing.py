"""Traces of requests: read or begun by the engine, recorded for a share of them.

Theory: what most requests of a traced service need is their trace carried on, not recorded. So
the decision is made first and natively, from the caller's flag or the trace id
(`rust/bind/src/trace.rs`); only then, for the share that is recorded, Python makes a span. A route
of a health check carries its trace and records nothing.
"""

import asyncio
import threading
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from megahertz.engine import Endpoint, Exchange, Failed, Route, TraceSource, Unheard
from megahertz.errors import BadSettings
from megahertz.observe.collector import exporter_of, missing
from megahertz.observe.current import CURRENT
from megahertz.observe.in_use import installed
from megahertz.observe.kept import KEPT, Kept
from megahertz.observe.secrets import Secrets

HEALTH = ("/health", "/healthz", "/live", "/livez", "/ready", "/readyz", "/ping")
"""Paths of routes that orchestrators and balancers ask every few seconds."""

QUEUE = 2048
"""Spans that wait for the exporter (OpenTelemetry's OTEL_BSP_MAX_QUEUE_SIZE: 2,048)."""

LAST_SPANS = 5.0
"""Seconds at the end for what still waits; Kubernetes grants 30 to everything."""


class Tracing:
    """A layer: `App(layers=[Tracing(0.01, exporter="http://collector:4318")])`.

    The traces of all requests are carried (`inject`); the spans of a share of them are recorded and
    sent. `trace.get_current_span()` of OpenTelemetry's API works in handlers, and spans made
    there are children of the request's.

    Args:
        sample: of traces that begin here, the share that is recorded; of others the caller has
            decided.
        exporter: where spans go: the address of a collector, `http://host:4318` (OTLP over
            HTTP) or `grpc://host:4317` (OTLP over gRPC; `grpcs://` with TLS), or an exporter of
            OpenTelemetry's SDK. None: they are not recorded.
        provider: of OpenTelemetry, in place of one made for `exporter`; its trace ids are its own.
        service: the name that spans are shown under; OTEL_SERVICE_NAME where it is not given.
        resource: further attributes of every span, as `{"deployment.environment.name": "live"}`.
        skip: paths of routes, as they are written, that are not recorded, nor what they call,
            whatever the caller has decided.
        queue: spans that wait for the exporter; when it is full the oldest are dropped.
        secrets: what else must not be shown in `url.query`, by parts of names.
        keep: the last spans that the process keeps as well, for `mhz top`, the overview and
            `mhz trace`; where spans go nowhere else, naming it records them for these alone. 1,024
            where it is not said and spans are recorded; 0: none.

    Raises:
        BadSettings: a share outside of 0 to 1, or an address that is none.
        Misused: OpenTelemetry is not installed.
    """

    def __init__(
        self,
        sample: float = 0.01,
        *,
        exporter: Any = None,
        provider: Any = None,
        service: str | None = None,
        resource: Mapping[str, Any] | None = None,
        skip: Iterable[str] = HEALTH,
        queue: int = QUEUE,
        secrets: Iterable[str] = (),
        keep: int | None = None,
    ) -> None:
        if not 0 <= sample <= 1:
            raise BadSettings(f"Tracing(sample={sample!r}): a share from 0 to 1")
        if exporter is not None and provider is not None:
            raise BadSettings("Tracing: an exporter or a provider, not both")
        if queue < 1 or (keep or 0) < 0:
            raise BadSettings(f"Tracing(queue={queue!r}, keep={keep!r}): at least 1, and 0")
        self._skip = frozenset(skip)
        self._source = TraceSource(sample)
        self._silent = TraceSource(0.0, never=True)
        if exporter is not None or (provider is None and keep):
            provider = _provider(exporter, sample, service, dict(resource or {}), queue)
        self.provider = provider
        if keep != 0 and hasattr(provider, "add_span_processor"):
            provider.add_span_processor(Kept(keep or KEPT))
        self._spans = None if provider is None else _spans(provider, Secrets(secrets))
        otel = installed()
        self._attach = None if otel is None else otel.attach_unrecorded

    def observe(self, route: Route, failed: Failed) -> Endpoint:
        """The route's endpoint with its trace around it."""
        inner, bare = route.endpoint, route.bare
        begin = self._silent.begin if route.path in self._skip else self._source.begin
        spans, attach = self._spans, self._attach

        def endpoint(exchange: Exchange) -> Any:
            found = begin(CURRENT, exchange, route)
            if spans is not None and found.sampled:
                call = inner if bare else partial(inner, exchange)
                return spans.run(found, call, route, failed)
            if attach is not None and (type(exchange) is not Exchange or found.baggage):
                attach(found)
            return inner() if bare else inner(exchange)

        endpoint.traces = True  # type: ignore[attr-defined]
        return endpoint

    def unheard(self, route: Route) -> Unheard:
        """All that is not recorded is nobody's business but its handler's."""
        return Unheard(self._silent if route.path in self._skip else self._source, decides=True)

    async def __aenter__(self) -> "Tracing":
        """Becomes the provider of OpenTelemetry's API where the process has none yet."""
        if self.provider is not None:
            from opentelemetry import trace

            if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
                trace.set_tracer_provider(self.provider)
        if self._attach is not None:
            # The engine serves in the context of who opens it: every request begins with this.
            self._attach(None)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.flush()

    async def flush(self, timeout: float = LAST_SPANS) -> bool:
        """Sends what waits; whether that was done in `timeout` seconds."""
        flush = getattr(self.provider, "force_flush", None)
        if flush is None:
            return True
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def work() -> None:
            try:
                flush()
            finally:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(done.set)

        # A thread of its own, which nobody joins: a collector that is gone must not hold the stop.
        threading.Thread(target=work, name="tracing-flush", daemon=True).start()
        try:
            async with asyncio.timeout(timeout):
                await done.wait()
        except TimeoutError:
            return False
        return True


def _spans(provider: Any, secrets: Secrets) -> Any:
    try:
        from megahertz.observe.spans import Spans
    except ImportError as error:
        raise missing("opentelemetry-sdk", "Tracing") from error
    return Spans(provider, secrets)


def _provider(
    exporter: Any, sample: float, service: str | None, resource: dict[str, Any], queue: int
) -> Any:
    try:
        from opentelemetry.sdk.resources import Resource

        from megahertz.observe.spans import provider_of
    except ImportError as error:
        raise missing("opentelemetry-sdk", "Tracing") from error
    if service is not None:
        resource["service.name"] = service
    if isinstance(exporter, str):
        exporter = exporter_of(exporter, "traces", who="Tracing")
    return provider_of(exporter, sample, Resource.create(resource), queue)
