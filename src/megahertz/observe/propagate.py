"""Traces across processes: into the headers of what is sent, out of those of what came.

W3C Trace Context and Baggage, and B3 in one field or several (openzipkin/b3-propagation). Reading
is native (`rust/wire/src/trace.rs`); what is malformed counts as not there. Writing is here.

A carrier is what the protocol's client has: a mapping (HTTP headers, NATS, fields of a Redis
stream), or a list of pairs, `(str, bytes)` as Kafka's clients want them or `(bytes, bytes)` as ASGI
does.
"""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, NamedTuple

from megahertz.context import EXPIRY_HEADER, expiry, read_expiry
from megahertz.context import deadline as remaining
from megahertz.engine import TraceContext, TraceSource
from megahertz.errors import BadSettings, DeadlineExceeded, RemoteProtocolError
from megahertz.observe.current import CURRENT
from megahertz.observe.in_use import installed, open_telemetry

Format = Literal["w3c", "b3", "b3multi"]
Carrier = MutableMapping[Any, Any] | list[Any]

FORMATS = ("w3c", "b3", "b3multi")

_SOURCE = TraceSource(0.0)


class _Outgoing(NamedTuple):
    """What is told to whom we ask."""

    trace_id: str
    span_id: str
    flags: int
    state: str
    baggage: str


def inject(
    headers: Carrier, *, formats: Sequence[Format] = ("w3c",), deadline: bool = False
) -> None:
    """Writes the current trace into `headers`; nothing where there is none.

    Inside a recorded span the callee's parent is that span. The parent of a request that is not
    recorded is a new id each time.

    Args:
        headers: changed in place; a field of the same name is replaced.
        formats: `w3c` (traceparent, tracestate), `b3` (one field), `b3multi` (X-B3-...); `baggage`
            goes with each of them.
        deadline: also tells until when the work is of use (`x-mhz-deadline`), where there is one;
            for messages, whose time goes on while they wait in a queue.

    Example:
        >>> headers: dict[str, str] = {}
        >>> inject(headers)
    """
    unknown = set(formats) - set(FORMATS)
    if unknown:
        raise BadSettings(f"inject(formats={list(formats)!r}): of {', '.join(FORMATS)}")
    found = _outgoing()
    if found is not None:
        _write(headers, _fields(found, formats))
    moment = expiry() if deadline else None
    if moment is not None:
        _write(headers, [(EXPIRY_HEADER, moment)])


def extract(headers: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> TraceContext | None:
    """The trace that `headers` carry, in any of the formats; None where they carry none."""
    return _SOURCE.read(_pairs(headers))


@contextmanager
def continued(
    headers: Mapping[Any, Any] | Iterable[tuple[Any, Any]], *, deadline: bool = False
) -> Iterator[TraceContext | None]:
    """Goes on with the trace of a message: inside, spans are its children, and `inject` tells it.

        async for message in consumer:
            with continued(message.headers or []):
                await handle(message)

    Gives None where the message carries none.

    Args:
        headers: of the message.
        deadline: inside, the deadline is the one that the message carries, where it does.

    Raises:
        DeadlineExceeded: the message's time was over before the block, or is in it.
    """
    headers = _pairs(headers)
    with _until(headers) if deadline else nullcontext(), _within(extract(headers)) as found:
        yield found


def grpc_options() -> dict[str, Any]:
    """Trace and deadline for a call by grpcio: `await stub.Get(request, **grpc_options())`.

    Raises:
        DeadlineExceeded: nothing is left.
    """
    left = remaining()
    if left == 0:
        raise DeadlineExceeded("no time is left for the call")
    found = _outgoing()
    metadata = () if found is None else tuple(_fields(found, ("w3c",)))
    return {"metadata": metadata, "timeout": left}


@contextmanager
def grpc_continued(context: Any) -> Iterator[TraceContext | None]:
    """Goes on with the trace and the deadline of a call that grpcio serves.

        async def Get(self, request, context):
            with grpc_continued(context):
                return await find(request)

    Args:
        context: of the handler (`grpc.aio.ServicerContext`).

    Raises:
        DeadlineExceeded: the caller's time is up.
    """
    left = context.time_remaining()
    until = nullcontext() if left is None else remaining(max(0.0, left))
    try:
        with until, _within(extract(context.invocation_metadata() or ())) as found:
            yield found
    except DeadlineExceeded:
        from grpc import StatusCode  # whoever has a context has it

        context.set_code(StatusCode.DEADLINE_EXCEEDED)  # else the caller reads UNKNOWN
        raise


@contextmanager
def _until(headers: list[tuple[bytes, bytes]]) -> Iterator[None]:
    told = [value for name, value in headers if name.lower() == EXPIRY_HEADER.encode()]
    try:
        left = read_expiry(told[-1].decode("latin-1")) if told else None
    except RemoteProtocolError:
        left = None
    if left is None:
        yield
        return
    if left == 0:
        raise DeadlineExceeded("the message's time was over before it was taken up")
    with remaining(left):
        yield


@contextmanager
def _within(found: TraceContext | None) -> Iterator[TraceContext | None]:
    if found is None:
        yield None
        return
    token = CURRENT.set(found)
    otel = installed()
    ours = None if otel is None else otel.context.attach(otel.parent_context(found))
    try:
        yield found
    finally:
        CURRENT.reset(token)
        if ours is not None:
            otel.context.detach(ours)


def _outgoing() -> _Outgoing | None:
    otel = open_telemetry()
    span = None if otel is None else otel.trace.get_current_span()
    if span is not None and not isinstance(span, otel.Unrecorded):
        context = span.get_span_context()
        if context.is_valid:
            return _Outgoing(
                f"{context.trace_id:032x}",
                f"{context.span_id:016x}",
                int(context.trace_flags) & 3,
                context.trace_state.to_header(),
                otel.baggage(),
            )
    found = CURRENT.get()
    if found is None:
        return None
    carried = found.baggage if otel is None else otel.baggage()
    return _Outgoing(found.trace_id, _SOURCE.span_id(), found.flags, found.state, carried)


def _fields(found: _Outgoing, formats: Sequence[Format]) -> Iterator[tuple[str, str]]:
    sampled = str(found.flags & 1)
    if "w3c" in formats:
        yield "traceparent", f"00-{found.trace_id}-{found.span_id}-{found.flags:02x}"
        if found.state:
            yield "tracestate", found.state
    if "b3" in formats:
        yield "b3", f"{found.trace_id}-{found.span_id}-{sampled}"
    if "b3multi" in formats:
        yield "X-B3-TraceId", found.trace_id
        yield "X-B3-SpanId", found.span_id
        yield "X-B3-Sampled", sampled
    if found.baggage:
        yield "baggage", found.baggage


def _write(headers: Carrier, fields: Iterable[tuple[str, str]]) -> None:
    if not isinstance(headers, list):
        for name, value in fields:
            headers[name] = value
        return
    raw = bool(headers) and isinstance(headers[0][0], bytes)
    for name, value in fields:
        key: Any = name.lower().encode() if raw else name
        known = name.lower()
        headers[:] = [pair for pair in headers if _text(pair[0]).lower() != known]
        headers.append((key, value.encode("latin-1")))


def _pairs(headers: Any) -> list[tuple[bytes, bytes]]:
    items = headers.items() if isinstance(headers, Mapping) else headers
    return [
        (_octets(name), _octets(value))
        for name, values in items
        for value in (values if isinstance(values, list | tuple) else [values])
        if isinstance(name, str | bytes) and isinstance(value, str | bytes)
    ]


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "replace")


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("latin-1")
