"""The bridge to OpenTelemetry: our context in theirs. Imported where its API is installed.

Theory: a span costs microseconds, a context variable nanoseconds. Of a request that is not
recorded, OpenTelemetry is given one span for all of them, which records nothing and answers
`get_span_context()` from our own context variable when somebody asks: instrumented clients then
propagate the right trace, and spans of users below it are not recorded either.
"""

from opentelemetry import context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
)

from megahertz.engine import TraceContext
from megahertz.observe.current import CURRENT


def span_context(found: TraceContext, span_id: int, *, remote: bool = False) -> SpanContext:
    """The same in OpenTelemetry's words."""
    state = TraceState.from_header([found.state]) if found.state else TraceState()
    trace_id = found.numbers[0]
    return SpanContext(trace_id, span_id, remote, TraceFlags(found.flags), state)


BAGGAGE = W3CBaggagePropagator()


class Unrecorded(NonRecordingSpan):
    """The span of whichever request is current, and is not recorded."""

    def __init__(self) -> None:
        super().__init__(INVALID_SPAN_CONTEXT)

    def get_span_context(self) -> SpanContext:
        """Of the current request."""
        found = CURRENT.get()
        return INVALID_SPAN_CONTEXT if found is None else span_context(found, found.numbers[1])


UNRECORDED = trace.set_span_in_context(Unrecorded(), Context())


def attach_unrecorded(found: TraceContext | None) -> None:
    """Makes the request current for OpenTelemetry, as one whose spans are not recorded.

    Without one it is for every request to come whose context is made from the current one.
    """
    if found is None or not found.baggage:
        context.attach(UNRECORDED)
    else:
        context.attach(with_baggage(found, UNRECORDED))


def parent_context(found: TraceContext) -> Context:
    """What the caller said, as the parent of our span; without a caller it is empty."""
    parent = found.numbers[2]
    made = Context()
    if parent:
        remote = NonRecordingSpan(span_context(found, parent, remote=True))
        made = trace.set_span_in_context(remote, made)
    return with_baggage(found, made) if found.baggage else made


def with_baggage(found: TraceContext, inner: Context) -> Context:
    """Where `baggage.get_baggage` finds what the caller sent."""
    return BAGGAGE.extract({"baggage": found.baggage}, inner)


def baggage() -> str:
    """What the current context has of it, as a field; empty where it has none."""
    fields: dict[str, str] = {}
    BAGGAGE.inject(fields)
    return fields.get("baggage", "")
