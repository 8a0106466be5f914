"""Requests that we send: a span around each, and the trace told in its headers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from megahertz.observe.in_use import open_telemetry
from megahertz.observe.propagate import Carrier, Format, inject
from megahertz.observe.secrets import SECRETS


@contextmanager
def calling(
    method: str, url: str, headers: Carrier, *, formats: Sequence[Format] = ("w3c",)
) -> Iterator[Any]:
    """Around a request to another service, whose `headers` it tells the trace.

        with calling("GET", url, headers):
            answer = await client.get(url, headers=headers)

    Where the request at hand is recorded, so is the call: a client span, the parent of what the
    other service records; the block is given that span. Clients that OpenTelemetry instruments need
    no `calling`.

    Args:
        method: of the request.
        url: absolute.
        headers: changed in place, as `inject` does.
        formats: as of `inject`.
    """
    otel = open_telemetry()
    if otel is None or not otel.trace.get_current_span().is_recording():
        inject(headers, formats=formats)
        yield None
        return
    tracer = otel.trace.get_tracer("megahertz")
    with tracer.start_as_current_span(method, kind=otel.trace.SpanKind.CLIENT) as span:
        span.set_attributes(_attributes(method, url))
        inject(headers, formats=formats)
        yield span


def _attributes(method: str, url: str) -> dict[str, str | int]:
    """Of the HTTP conventions, "HTTP client span"; without credentials."""
    parts = urlsplit(url)
    shown = parts._replace(
        netloc=parts.netloc.rpartition("@")[2], query=SECRETS.query(parts.query)
    ).geturl()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {
        "http.request.method": method,
        "url.full": shown,
        "server.address": parts.hostname or "",
        "server.port": port,
    }
