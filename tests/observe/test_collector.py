"""Spans reach a collector over OTLP, by HTTP and by gRPC, and carry through two services."""

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as told
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

from megahertz import App
from megahertz.observe import Tracing, calling
from megahertz.testing import Client


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

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
            assert self.path == "/v1/traces"
            collector.take(told.ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_): ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield collector, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def by_grpc():
    collector = Collector()

    class Service(service.TraceServiceServicer):
        def Export(self, request, context):
            collector.take(request)
            return told.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    service.add_TraceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield collector, f"grpc://127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.mark.parametrize("way", ["by_http", "by_grpc"])
def test_a_trace_through_two_services_arrives_whole(way, request, monkeypatch):
    collector, address = request.getfixturevalue(way)
    front_tracing = Tracing(1.0, exporter=address, service="front")
    monkeypatch.setattr(trace, "get_tracer", front_tracing.provider.get_tracer)
    front, back = App(layers=[front_tracing]), App(layers=[Tracing(exporter=address, service="b")])

    @back.get("/stock/{sku}")
    async def stock(sku: int) -> int:
        return sku

    with Client(back) as behind:

        @front.get("/items/{sku}")
        def item(sku: int) -> int:
            url, headers = f"http://127.0.0.1:{behind.port}/stock/{sku}", {}
            with calling("GET", url, headers):
                return behind.get(f"/stock/{sku}", headers=headers).json()

        with Client(front) as client:
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
