"""What is recorded of requests, and what users' own spans hang on."""

import asyncio
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

from megahertz import GCRA, App, HTTPError, Policy, Request, StreamingResponse, WebSocket
from megahertz.engine import TraceSource
from megahertz.errors import BadRoute, BadSettings, Misused
from megahertz.observe import Tracing, current, inject, open_telemetry
from megahertz.observe.in_use import installed
from megahertz.testing import Client, TestClient

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


def recording(sample=1.0, **options):
    exporter = InMemorySpanExporter()
    return Tracing(sample, exporter=exporter, **options), exporter


def ask(app, path="/", **options):
    with Client(app) as client:
        return client.get(path, **options)


def spans_of(exporter):
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_request_has_a_span_with_the_stable_attributes():
    tracing, exporter = recording(service="shop", resource={"deployment.environment.name": "test"})
    app = App(layers=[tracing])

    @app.get("/items/{sku}")
    async def handler(sku: int) -> dict[str, int]:
        return {"sku": sku}

    with Client(app) as client:
        client.get("/items/7?token=abc&full=1", headers={"user-agent": "test", **SAMPLED})
        port = client.port

    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("GET /items/{sku}", SpanKind.SERVER)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.parent.is_remote
    found = dict(span.attributes)
    assert found == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/items/{sku}",
        "url.scheme": "http",
        "url.path": "/items/7",
        "url.query": "token=[redacted]&full=1",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": port,
        "client.address": "127.0.0.1",
        "user_agent.original": "test",
    }
    assert span.resource.attributes["service.name"] == "shop"
    assert span.resource.attributes["deployment.environment.name"] == "test"


def test_a_trace_that_begins_here_has_the_ids_that_handlers_see():
    tracing, exporter = recording()
    app = App(layers=[tracing])
    seen = []

    @app.get("/")
    def handler(request: Request) -> None:
        seen.append((current(), trace.get_current_span().get_span_context()))

    assert ask(app).status_code == 204

    (span,) = exporter.get_finished_spans()
    ((found, context),) = seen
    assert found.numbers == (span.context.trace_id, span.context.span_id, 0)
    assert context == span.context
    assert (found.parent_id, found.sampled) == (None, True)
    assert found.route.path == "/"
    assert span.attributes["http.response.status_code"] == 204


def test_spans_of_users_are_children_of_the_requests():
    tracing, exporter = recording()
    tracer = tracing.provider.get_tracer("shop")
    app = App(layers=[tracing])

    @app.get("/")
    async def handler() -> dict[str, str]:
        headers: dict[str, str] = {}
        with tracer.start_as_current_span("inner"):
            await asyncio.sleep(0)
            inject(headers)
        return headers

    told = ask(app).json()["traceparent"]

    spans = spans_of(exporter)
    inner = spans["inner"]
    assert inner.parent.span_id == spans["GET /"].context.span_id
    assert told == f"00-{inner.context.trace_id:032x}-{inner.context.span_id:016x}-03"


@pytest.mark.parametrize(
    ("sample", "headers"),
    [(0.0, {}), (1.0, {"traceparent": f"00-{TRACE}-{PARENT}-00"}), (1.0, {"b3": "0"})],
    ids=["ratio", "parent", "b3"],
)
def test_what_is_not_sampled_records_nothing_below_it_either(sample, headers):
    tracing, exporter = recording(sample)
    tracer = tracing.provider.get_tracer("shop")
    app = App(layers=[tracing])
    contexts = []

    @app.get("/")
    async def handler() -> None:
        contexts.append((current(), trace.get_current_span().get_span_context()))
        with tracer.start_as_current_span("inner") as span:
            assert not span.is_recording()

    ask(app, headers=headers)

    assert exporter.get_finished_spans() == ()
    ((found, context),) = contexts
    assert (context.trace_id, context.span_id) == found.numbers[:2]
    assert not context.trace_flags.sampled


def test_health_checks_record_nothing_even_when_their_caller_does():
    tracing, exporter = recording(skip=("/healthz",))
    app = App(layers=[tracing])

    @app.get("/healthz")
    @app.get("/items")
    async def handler() -> None:
        with tracing.provider.get_tracer("shop").start_as_current_span("inner"):
            pass

    with Client(app) as client:
        client.get("/healthz", headers=SAMPLED)
        client.get("/items", headers=SAMPLED)

    assert sorted(span.name for span in exporter.get_finished_spans()) == ["GET /items", "inner"]


def failing(tracing) -> App:
    app = App(policy=Policy(deadline=0.05), layers=[tracing])

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPError(409, "no")

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("the database is gone")

    @app.get("/late")
    async def late() -> None:
        await asyncio.Event().wait()

    @app.get("/limited", policy=Policy(limit=GCRA(1, per=3600)))
    async def limited() -> None: ...

    @app.get("/mapped")
    async def mapped() -> None:
        raise KeyError("x")

    @app.exception_handler(KeyError)
    def missing(request: Request, error: KeyError) -> None:
        raise HTTPError(404)

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def pieces():
            yield b"x" * 10_000
            raise ValueError("half")

        return StreamingResponse(pieces(), status_code=201)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"x" * 10_000]), status_code=202)

    return app


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/refused", 409, None),
        ("/broken", 500, "ValueError"),
        ("/late", 504, "CancelledError"),
        ("/mapped", 404, None),
        ("/stream", 202, None),
    ],
)
def test_how_a_request_ended(path, status, kind):
    tracing, exporter = recording()
    app = failing(tracing)

    ask(app, path)

    (span,) = exporter.get_finished_spans()
    assert span.attributes.get("http.response.status_code") == status
    assert span.attributes.get("error.type") == kind
    assert (span.status.status_code is StatusCode.ERROR) == (kind is not None)
    assert [event.name for event in span.events] == ["exception"] * (kind is not None)


def test_half_an_answer_is_an_error():
    tracing, exporter = recording()
    app = failing(tracing)

    with Client(app) as client, client.connect() as connection:
        connection.sendall(b"GET /half HTTP/1.1\r\nhost: a\r\n\r\n")
        while connection.recv(65536):
            pass

    (span,) = exporter.get_finished_spans()
    assert span.attributes["http.response.status_code"] == 201
    assert span.events[0].attributes["exception.message"] == "half"


def test_what_the_gate_refuses_has_no_span():
    tracing, exporter = recording()
    app = failing(tracing)

    with Client(app) as client:
        statuses = [client.get("/limited").status_code for _ in range(2)]

    assert statuses == [204, 429]
    found = [span.attributes["http.response.status_code"] for span in exporter.get_finished_spans()]
    assert found == [204]


def test_a_route_that_chooses_an_error_status_is_an_error_of_that_status():
    tracing, exporter = recording()
    app = App(layers=[tracing])

    @app.get("/", status_code=503)
    async def handler() -> str:
        return "later"

    ask(app)

    (span,) = exporter.get_finished_spans()
    assert span.attributes["error.type"] == "503"


def test_a_websocket_has_one_span():
    tracing, exporter = recording()
    app = App(layers=[tracing])

    @app.websocket("/ws")
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send(await websocket.receive())

    with Client(app) as client, client.websocket_connect("/ws") as websocket:
        websocket.send_text("a")
        assert websocket.receive_text() == "a"

    (span,) = exporter.get_finished_spans()
    assert (span.name, span.attributes["http.response.status_code"]) == ("GET /ws", 101)


def test_under_another_server_too():
    tracing, exporter = recording()
    app = App(layers=[tracing])

    @app.get("/items/{sku}")
    async def handler(sku: int) -> int:
        return sku

    async def exchange():
        sent = []
        scope = {
            "type": "http",
            "method": "BREW",
            "path": "/items/1",
            "query_string": b"",
            "headers": [(b"host", b"[::1]:80"), (b"traceparent", SAMPLED["traceparent"].encode())],
        }
        messages = [{"type": "http.request"}]

        async def receive():
            return messages.pop() if messages else await asyncio.Event().wait()

        async def send(message):
            sent.append(message)

        async with app:
            await app({**scope, "method": "GET"}, receive, send)
        return sent

    assert asyncio.run(exchange())[0]["status"] == 200
    (span,) = exporter.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.attributes["server.address"] == "[::1]"


def test_a_method_that_nobody_knows_does_not_become_a_name():
    tracing, exporter = recording()
    app = App(layers=[tracing])

    @app.route("/", ["BREW"])
    async def handler() -> None: ...

    with Client(app) as client:
        client.request("BREW", "/")

    (span,) = exporter.get_finished_spans()
    assert span.name == "_OTHER /"
    assert span.attributes["http.request.method_original"] == "BREW"


@pytest.mark.parametrize("flags", ["00", "01"])
def test_baggage_is_seen_by_its_api_and_told_on(flags):
    tracing, _ = recording()
    app = App(layers=[tracing])

    @app.get("/")
    async def handler() -> dict[str, str]:
        headers: dict[str, str] = {}
        inject(headers)
        return {"user": str(baggage.get_baggage("user")), **headers}

    sent = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}", "baggage": "user=7%20a, other=1"}
    told = ask(app, headers=sent).json()

    assert told["user"] == "7 a"
    assert told["baggage"] in ("user=7+a,other=1", "user=7%20a,other=1")


def test_a_provider_of_ones_own():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = App(layers=[Tracing(1.0, provider=provider)])

    @app.get("/")
    async def handler() -> None: ...

    ask(app)

    assert [span.name for span in exporter.get_finished_spans()] == ["GET /"]


class Stuck(SpanExporter):
    """A collector that takes spans and does not come back."""

    def __init__(self):
        self.entered, self.released = threading.Event(), threading.Event()

    def export(self, spans):
        self.entered.set()
        self.released.wait()
        return SpanExportResult.SUCCESS

    def shutdown(self):
        self.released.set()


def test_a_collector_that_hangs_holds_neither_requests_nor_the_stop(monkeypatch):
    exporter = Stuck()
    tracing = Tracing(1.0, exporter=exporter, queue=4)
    app = App(layers=[tracing])
    flushed = []

    async def flush(timeout=0.01):
        flushed.append(await Tracing.flush(tracing, 0.01))

    monkeypatch.setattr(tracing, "flush", flush)

    @app.get("/")
    async def handler() -> str:
        return "ok"

    with Client(app) as client:
        assert [client.get("/").text for _ in range(20)] == ["ok"] * 20
        assert exporter.entered.wait(10)
    exporter.released.set()

    assert flushed == [False]


def test_without_an_exporter_nothing_is_left_to_send():
    assert asyncio.run(Tracing(1.0).flush())


@given(st.floats(0, 1), st.integers(1, 2**128 - 1))
def test_the_engine_decides_as_open_telemetry_does(ratio, trace_id):
    decided = TraceSource(ratio).read([(b"b3", f"{trace_id:032x}-{PARENT}".encode())])
    sampler = TraceIdRatioBased(ratio)

    assert decided.sampled == sampler.should_sample(None, trace_id, "x").decision.is_sampled()


@pytest.mark.parametrize(
    "options",
    [
        {"sample": 1.5},
        {"sample": -0.1},
        {"exporter": "collector:4317"},
        {"exporter": "ftp://collector"},
        {"exporter": InMemorySpanExporter(), "provider": TracerProvider()},
        {"exporter": InMemorySpanExporter(), "queue": 0},
    ],
)
def test_settings_that_cannot_be(options):
    with pytest.raises(BadSettings):
        Tracing(**options)


@pytest.mark.parametrize("address", ["http://127.0.0.1:4318", "grpc://127.0.0.1:4317"])
def test_addresses_of_collectors(address):
    assert Tracing(0.0, exporter=address).provider is not None


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        ("opentelemetry.sdk.resources", {"exporter": InMemorySpanExporter()}, r"megahertz\[otel\]"),
        ("opentelemetry.sdk.trace", {"provider": TracerProvider()}, r"megahertz\[otel\]"),
        (
            "opentelemetry.exporter.otlp.proto.grpc",
            {"exporter": "grpc://a:1"},
            r"megahertz\[otel-grpc\]",
        ),
    ],
)
def test_what_is_not_installed_is_named(monkeypatch, module, options, message):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "megahertz.observe.spans", raising=False)

    with pytest.raises(Misused, match=message):
        Tracing(1.0, **options)


@pytest.fixture
def not_installed(monkeypatch):
    """OpenTelemetry."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "megahertz.observe.otel", raising=False)
    monkeypatch.delattr("megahertz.observe.otel", raising=False)
    installed.cache_clear()
    yield
    installed.cache_clear()


@pytest.mark.usefixtures("not_installed")
def test_without_open_telemetry_traces_are_carried():
    app = App(layers=[Tracing(0.0)])

    @app.get("/")
    async def handler() -> dict[str, str]:
        headers: dict[str, str] = {}
        inject(headers)
        return headers

    told = ask(app, headers={**SAMPLED, "baggage": "a=1;p"}).json()

    assert told["traceparent"].startswith(f"00-{TRACE}-")
    assert told["baggage"] == "a=1;p"


def test_its_api_is_asked_where_somebody_has_imported_it(monkeypatch):
    assert open_telemetry().trace is trace

    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert open_telemetry() is None
    assert installed() is not None


def test_it_stands_in_a_routers_layers_as_well():
    from megahertz import Router

    tracing, exporter = recording()
    router, app = Router("/api", layers=[tracing]), App()

    @router.get("/a")
    @app.get("/b")
    async def handler() -> None: ...

    app.include(router)
    with TestClient(app) as client:
        client.get("/api/a")
        client.get("/b")

    assert [span.name for span in exporter.get_finished_spans()] == ["GET /api/a"]


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 405)])
def test_what_no_route_answers(method, status):
    tracing, exporter = recording()
    app = App(layers=[tracing])

    @app.get("/a")
    async def handler() -> None: ...

    with Client(app) as client:
        assert client.request(method, "/b" if method == "GET" else "/a").status_code == status

    (span,) = exporter.get_finished_spans()
    assert span.name == method
    assert span.attributes["http.response.status_code"] == status
    assert "http.route" not in span.attributes


def test_its_class_is_no_layer():
    with pytest.raises(BadRoute):
        App(layers=[Tracing])
