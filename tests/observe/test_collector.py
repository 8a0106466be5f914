"""Spans reach a collector over OTLP, by HTTP and by gRPC, and carry through two services."""

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as told
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

from megahertz import App
from megahertz.observe import Tracing
from tests.observe.otlp import chained, over_grpc, over_http


class Collector:
    """Takes spans, and has them by service and name."""

    def __init__(self):
        self.spans = {}

    def take(self, request):
        for resource in request.resource_spans:
            named = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans[named["service.name"], span.name] = span


@pytest.fixture
def by_http():
    collector = Collector()
    parse = told.ExportTraceServiceRequest.FromString
    with over_http("/v1/traces", lambda body: collector.take(parse(body))) as address:
        yield collector, address


@pytest.fixture
def by_grpc():
    collector = Collector()
    add, answer = service.add_TraceServiceServicer_to_server, told.ExportTraceServiceResponse
    with over_grpc(add, service.TraceServiceServicer, collector.take, answer) as address:
        yield collector, address


@pytest.mark.parametrize("way", ["by_http", "by_grpc"])
def test_a_trace_through_two_services_arrives_whole(way, request, monkeypatch):
    collector, address = request.getfixturevalue(way)
    front_tracing = Tracing(1.0, exporter=address, service="front")
    monkeypatch.setattr(trace, "get_tracer", front_tracing.provider.get_tracer)
    front, back = App(layers=[front_tracing]), App(layers=[Tracing(exporter=address, service="b")])

    with chained(front, back) as client:
        assert client.get("/items/7").json() == 7

    root = collector.spans["front", "GET /items/{sku}"]
    call = collector.spans["front", "GET"]
    behind_it = collector.spans["b", "GET /stock/{sku}"]
    assert root.parent_span_id == b""
    assert call.parent_span_id == root.span_id
    assert behind_it.parent_span_id == call.span_id
    assert root.trace_id == call.trace_id == behind_it.trace_id
    said = {item.key: item.value for item in behind_it.attributes}
    assert said["http.response.status_code"].int_value == 200
