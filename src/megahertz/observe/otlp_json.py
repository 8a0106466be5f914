"""Spans out of OTLP in JSON: what a collector's file exporter writes, one document a line.

Fields are those of opentelemetry-proto's `TracesData`; ids are hex, as the OTLP specification says
of its JSON, and base64 where protobuf's own mapping was used.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import msgspec

from megahertz.errors import BadSettings
from megahertz.observe.kept import KINDS, Span, peer_of


def spans_of(data: bytes, *, name: str = "it") -> list[Span]:
    """The spans of a document, or of one a line.

    Raises:
        BadSettings: it is neither.
    """
    found: list[Span] = []
    for number, document in enumerate(_documents(data, name), 1):
        try:
            found += _spans(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadSettings(f"{name}: document {number} is no OTLP: {error!r}") from error
    return found


def _documents(data: bytes, name: str) -> Iterator[Any]:
    try:
        yield msgspec.json.decode(data)
        return
    except msgspec.DecodeError:
        pass
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise BadSettings(f"{name}, line {number}: no JSON: {error}") from error


def _spans(document: Any) -> Iterator[Span]:
    if not isinstance(document, dict):
        raise TypeError("it is no object")
    for resource in _list(document, "resourceSpans", "resource_spans"):
        values = _values(resource.get("resource", {}).get("attributes", ()))
        service = str(values.get("service.name", ""))
        for scope in _list(resource, "scopeSpans", "scope_spans"):
            for span in scope.get("spans", ()):
                yield _span(span, service)


def _list(found: Any, *names: str) -> Any:
    return next((found[name] for name in names if name in found), ())


def _span(span: Any, service: str) -> Span:
    values, status = _values(span.get("attributes", ())), span.get("status", {})
    code, kind = values.get("http.response.status_code"), span.get("kind", 1)
    if isinstance(kind, str):
        kind = _KINDS.index(kind)
    failed = status.get("code") in (2, "STATUS_CODE_ERROR")
    return Span(
        trace=_id(span["traceId"], 16),
        span=_id(span["spanId"], 8),
        parent=_id(span.get("parentSpanId", ""), 8),
        name=str(span.get("name", "")),
        service=service,
        kind=KINDS[max(0, kind - 1)],
        began=int(span.get("startTimeUnixNano", 0)),
        ended=int(span.get("endTimeUnixNano", 0)),
        error=(status.get("message") or "failed") if failed else None,
        status=None if code is None else int(code),
        peer=peer_of(values),
    )


_KINDS = ("SPAN_KIND_UNSPECIFIED", *(f"SPAN_KIND_{kind.upper()}" for kind in KINDS))


def _id(text: str, size: int) -> str:
    if len(text) in (0, 2 * size):
        return text.lower()
    try:
        return base64.b64decode(text, validate=True).hex()
    except binascii.Error as error:
        raise ValueError(f"{text!r} is no id") from error


def _values(attributes: Any) -> dict[str, Any]:
    """Of `[{"key": ..., "value": {"intValue": "200"}}]` the plain ones."""
    found = {}
    for item in attributes:
        for kind, value in item.get("value", {}).items():
            if kind in ("stringValue", "intValue", "boolValue", "doubleValue"):
                found[item["key"]] = value
    return found
