"""OTLP in JSON, as OpenTelemetry's own encoder and a collector's file exporter write it."""

import base64
import json

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from megahertz.errors import BadSettings
from megahertz.observe import Tracing, spans_of
from megahertz.observe.kept import plain


def recorded():
    tracing = Tracing(1.0, keep=8, service="shop")
    tracer = tracing.provider.get_tracer("t")
    with tracer.start_as_current_span("GET /") as above:
        above.set_attributes({"http.response.status_code": 503, "server.address": "h", "x": 1.5})
        with pytest.raises(ValueError, match="why"), tracer.start_as_current_span("inner"):
            raise ValueError("why")
    from megahertz.observe import Kept

    ring = max(Kept.all, key=lambda ring: (bool(ring.spans()) and ring.spans()[-1].end_time) or 0)
    return ring.spans()


def test_what_the_sdk_encodes_is_read_back():
    """protobuf's own JSON writes ids as base64, the OTLP specification as hex: both are read."""
    spans = recorded()
    document = MessageToDict(encode_spans(spans))
    assert spans_of(json.dumps(document).encode()) == [plain(span) for span in spans]
    for resource in document["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64decode(span[name]).hex().upper()
                span["kind"] = 1
                span["status"] = {**span["status"], "code": 2} if "code" in span["status"] else {}
    assert spans_of(json.dumps(document).encode()) == [plain(span) for span in spans]


def test_a_document_a_line_is_read():
    line = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%s","spanId":"%s"}]}]}]}'
    lines = [line % (b"a" * 32, b"b" * 16), b"", line % (b"c" * 32, b"d" * 16)]
    found = spans_of(b"\n".join(lines))
    assert [(span.trace[0], span.span[0], span.service) for span in found] == [
        ("a", "b", ""),
        ("c", "d", ""),
    ]
    assert spans_of(b"{}") == spans_of(b"") == []


@pytest.mark.parametrize(
    "wrong",
    [
        b"no json",
        b"{}\nno json",
        b"[]",
        b'{"resourceSpans":[7]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"?","spanId":"?"}]}]}]}',
    ],
    ids=repr,
)
def test_what_is_none_is_said(wrong):
    with pytest.raises(BadSettings, match=r"spans\.json"):
        spans_of(wrong, name="spans.json")
