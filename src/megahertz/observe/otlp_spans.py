"""Spans as OTLP in protobuf; imported where OpenTelemetry's own encoder is installed.

Theory: the exporter's own encoder makes a Python object of every attribute, which costs more than
recording the span did. Nearly all spans are plain (no events, no links, attributes of text and
numbers) and repeat the same few attributes, so their octets are joined from pieces that are known.
Spans that are not plain, resources and scopes are left to that encoder.

The fields' numbers are those of opentelemetry-proto's trace/v1/trace.proto and common.proto.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

PIECES: Final = 4096
"""Attributes that are remembered; more than a service repeats, at 100 octets or so each."""

_REMOTE_KNOWN, _REMOTE = 0x100, 0x200
"""SpanFlags: whether the parent is remote is known, and it is."""

_TIMES = struct.Struct("<BQBQ")
_FLAGS = struct.Struct("<HI")


def request(spans: Sequence[ReadableSpan]) -> bytes:
    """The octets of an ExportTraceServiceRequest."""
    return b"".join(_groups(spans))


def _groups(spans: Sequence[ReadableSpan]) -> Iterator[bytes]:
    """Spans of one origin together."""
    groups: dict[tuple[int, int], list[ReadableSpan]] = {}
    for span in spans:
        origin = (id(span.resource), id(span.instrumentation_scope))
        groups.setdefault(origin, []).append(span)
    for alike in groups.values():
        whole = encode_spans(alike[:1]).resource_spans[0]
        scoped = whole.scope_spans[0]
        scoped.ClearField("spans")
        inner = scoped.SerializeToString() + b"".join(_field(2, encoded(it)) for it in alike)
        whole.ClearField("scope_spans")
        yield _field(1, whole.SerializeToString() + _field(2, inner))


def encoded(span: ReadableSpan) -> bytes:
    """The octets of one Span."""
    context, parent, status = span.get_span_context(), span.parent, span.status
    made = None
    if not (context is None or span.events or span.links or span.dropped_attributes):
        made = _attributes(span)
    if context is None or made is None:
        whole = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
        return bytes(whole.SerializeToString())
    parts = [
        b"\x0a\x10%b\x12\x08%b"
        % (context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big"))
    ]
    if context.trace_state:
        parts.append(_field(3, context.trace_state.to_header().encode()))
    if parent:
        parts.append(b"\x22\x08" + parent.span_id.to_bytes(8, "big"))
    name = span.name.encode()
    if name:
        parts.append(_field(5, name))
    parts.append(b"\x30%c" % (span.kind.value + 1))
    parts.append(_TIMES.pack(0x39, span.start_time or 0, 0x41, span.end_time or 0))
    parts.append(made)
    text = (status.description or "").encode()
    code = status.status_code.value
    told = (_field(2, text) if text else b"") + (b"\x18%c" % code if code else b"")
    parts.append(_field(15, told))
    remote = _REMOTE if parent and parent.is_remote else 0
    parts.append(_FLAGS.pack(0x0185, _REMOTE_KNOWN | remote))
    return b"".join(parts)


_known: dict[tuple[str, Any], bytes] = {}


def _attributes(span: ReadableSpan) -> bytes | None:
    """None where one of them is not plain."""
    parts = []
    for item in (span.attributes or {}).items():
        # Only text: 1 and True and 1.0 are one key of a dict, and three values.
        text = type(item[1]) is str
        piece = _known.get(item) if text else None
        if piece is None:
            piece = _attribute(*item)
            if piece is None:
                return None
            if text:
                if len(_known) >= PIECES:
                    _known.clear()
                _known[item] = piece
        parts.append(piece)
    return b"".join(parts)


def _attribute(name: str, value: Any) -> bytes | None:
    kind = type(value)
    if kind is str:
        told = _field(1, value.encode())
    elif kind is bool:
        told = b"\x10%c" % value
    elif kind is int and -(1 << 63) <= value < 1 << 63:
        told = b"\x18" + _varint(value & (1 << 64) - 1)
    elif kind is float:
        told = struct.pack("<Bd", 0x21, value)
    else:
        return None
    return _field(9, _field(1, name.encode()) + _field(2, told))


def _field(number: int, data: bytes) -> bytes:
    """A field of octets, with its length before it."""
    size = len(data)
    if size < 128:
        return b"%c%c%b" % (number << 3 | 2, size, data)
    return b"%c%b%b" % (number << 3 | 2, _varint(size), data)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
