"""Spans as octets: the exporter's own encoder is right, and ours says the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as told
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from megahertz.observe import otlp_http, otlp_spans
from megahertz.observe.otlp_http import SpanExporter
from megahertz.observe.otlp_spans import request
from tests.observe.otlp import over_http

HERE = Resource({"service.name": "here", "host.cpus": 2})
SCOPES = [InstrumentationScope("megahertz"), InstrumentationScope("own", "1.2", "http://schema")]

plain = (
    some.text(max_size=200)
    | some.booleans()
    | some.integers(-(2**63), 2**63 - 1)
    | some.floats(allow_nan=False)
)
attributes = some.dictionaries(some.text(min_size=1, max_size=20), plain, max_size=6)
ids = some.integers(1, 2**64 - 1)
contexts = some.builds(
    SpanContext,
    some.integers(1, 2**128 - 1),
    ids,
    some.booleans(),
    trace_state=some.sampled_from([None, TraceState([("a", "1"), ("b", "2")])]),
)
spans = some.builds(
    ReadableSpan,
    name=some.text(max_size=300),
    context=contexts,
    parent=some.none() | contexts,
    resource=some.sampled_from([HERE, Resource.get_empty()]),
    attributes=attributes | some.just({"listed": ("a", "b")}),
    events=some.sampled_from([(), (Event("it", {"a": 1}, 7),)]),
    links=some.sampled_from([(), (Link(SpanContext(1, 2, True)),)]),
    kind=some.sampled_from(SpanKind),
    status=some.sampled_from([Status(), Status(StatusCode.OK), Status(StatusCode.ERROR, "no")]),
    start_time=some.integers(0, 2**63),
    end_time=some.integers(0, 2**63),
    instrumentation_scope=some.sampled_from(SCOPES),
)


def each(data):
    """Every span with its origin, in an order of its own."""
    return sorted(
        (group.resource.SerializeToString(), scope.scope.SerializeToString(), scope.schema_url, it)
        for group in told.ExportTraceServiceRequest.FromString(data).resource_spans
        for scope in group.scope_spans
        for it in (span.SerializeToString(deterministic=True) for span in scope.spans)
    )


@given(some.lists(spans, max_size=6))
def test_what_is_said_is_what_the_exporters_encoder_says(found):
    assert each(request(found)) == each(encode_spans(found).SerializeToString())


def test_values_that_are_equal_and_not_the_same_are_told_apart():
    for value in (True, 1, 1.0, 0.0, False, 0):
        it = ReadableSpan("a", SpanContext(1, 2, False), attributes={"x": value})
        assert each(request([it])) == each(encode_spans([it]).SerializeToString())


def test_attributes_that_are_new_each_time_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(otlp_spans, "PIECES", 10)
    for number in range(100):
        context = SpanContext(1, 2, False)
        request([ReadableSpan("a", context, attributes={"url.path": f"/{number}"})])
    assert len(otlp_spans._known) <= 10


SPAN = ReadableSpan("a", SpanContext(1, 2, False), resource=HERE, instrumentation_scope=SCOPES[0])


@pytest.mark.parametrize("largest", [otlp_http.LARGEST, 10])
def test_what_is_exported_arrives(largest, monkeypatch):
    monkeypatch.setattr(otlp_http, "LARGEST", largest)
    bodies = []
    with over_http("/v1/traces", bodies.append) as address:
        exporter = SpanExporter(endpoint=f"{address}/v1/traces")
        assert exporter.export([SPAN]) is SpanExportResult.SUCCESS
        exporter.shutdown()
    assert each(bodies[0]) == each(encode_spans([SPAN]).SerializeToString())


def test_an_exporter_that_is_another_inside_exports_by_itself(monkeypatch):
    taken = []
    exporter = SpanExporter(endpoint="http://127.0.0.1:1/v1/traces")
    monkeypatch.setattr(OTLPSpanExporter, "export", lambda self, spans: taken.extend(spans))
    monkeypatch.delattr(exporter, "_client")
    exporter.export([SPAN])
    assert taken == [SPAN]


def test_after_its_end_nothing_is_exported():
    exporter = SpanExporter(endpoint="http://127.0.0.1:1/v1/traces")
    exporter.shutdown()
    assert exporter.export([SPAN]) is SpanExportResult.FAILURE


def test_a_collector_that_is_not_there_is_a_failure():
    exporter = SpanExporter(endpoint="http://127.0.0.1:1/v1/traces", timeout=0.001)
    assert exporter.export([SPAN]) is SpanExportResult.FAILURE
    exporter.shutdown()
