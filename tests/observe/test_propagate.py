"""Traces in the headers of messages."""

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from megahertz import App
from megahertz.errors import BadSettings
from megahertz.observe import Tracing, calling, continued, current, extract, inject
from megahertz.testing import Client

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
W3C = f"00-{TRACE}-{PARENT}-01"
CARRIED = {"traceparent": W3C, "tracestate": "a=1", "baggage": "user=7"}


def told(headers, **options):
    with continued(CARRIED):
        inject(headers, **options)
    return headers


def test_into_a_mapping():
    headers = told({"accept": "*/*", "tracestate": "old=1"})

    assert headers["traceparent"].startswith(f"00-{TRACE}-")
    assert headers["tracestate"] == "a=1"
    assert headers["baggage"] == "user=7"
    assert headers["accept"] == "*/*"


def test_into_the_headers_of_kafka():
    headers = told([("Traceparent", b"old"), ("kind", b"order")])

    assert [name for name, _ in headers] == ["kind", "traceparent", "tracestate", "baggage"]
    assert all(isinstance(value, bytes) for _, value in headers)


def test_into_raw_headers():
    assert (b"baggage", b"user=7") in told([(b"host", b"a")])


def test_b3_in_both_spellings():
    headers = told({}, formats=("b3", "b3multi"))

    trace_id, span_id, sampled = headers["b3"].split("-")
    assert (trace_id, sampled) == (TRACE, "1")
    assert headers["X-B3-TraceId"] == TRACE
    assert headers["X-B3-SpanId"] == span_id
    assert headers["X-B3-Sampled"] == "1"
    assert "traceparent" not in headers


def test_a_format_that_is_none():
    with pytest.raises(BadSettings, match="b3multi"):
        inject({}, formats=("zipkin",))


def test_nothing_outside_of_a_trace():
    headers = {}
    inject(headers)

    assert headers == {}
    assert current() is None


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": W3C},
        {"TraceParent": [W3C]},
        {b"traceparent": W3C.encode()},
        [("traceparent", W3C.encode()), ("key", None), (7, b"x")],
        [(b"b3", f"{TRACE}-{PARENT}-1".encode())],
    ],
    ids=["nats", "lists", "redis", "kafka", "b3"],
)
def test_out_of_any_carrier(headers):
    found = extract(headers)

    assert (found.trace_id, found.parent_id, found.sampled) == (TRACE, PARENT, True)
    assert found.exchange is None
    assert TRACE in repr(found)


@pytest.mark.parametrize("headers", [{}, {"traceparent": "00-1"}, {"traceparent": "ä"}, []])
def test_a_message_without_a_trace_is_handled_without_one(headers):
    assert extract(headers) is None
    with continued(headers) as found:
        assert (found, current()) == (None, None)


def test_a_message_goes_on_with_the_trace_of_its_sender():
    exporter = InMemorySpanExporter()
    tracing = Tracing(1.0, exporter=exporter)
    tracer = tracing.provider.get_tracer("worker")

    with continued({"traceparent": W3C}) as found, tracer.start_as_current_span("handle"):
        assert current() is found
        headers = {}
        inject(headers)
    asyncio.run(tracing.flush())

    (span,) = exporter.get_finished_spans()
    assert f"{span.parent.span_id:016x}" == PARENT
    assert headers["traceparent"] == f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert current() is None
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_it_ends_with_its_block_even_when_that_fails():
    with pytest.raises(KeyError), continued(CARRIED):
        raise KeyError

    assert current() is None


def calls(flags, monkeypatch):
    """What a handler that calls another service twice tells it, and what is recorded."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(0.0, exporter=exporter)
    monkeypatch.setattr(trace, "get_tracer", tracing.provider.get_tracer)
    app = App(layers=[tracing])

    @app.get("/")
    async def handler() -> list[str]:
        told = []
        for url in ("https://me:secret@shop:8443/a?token=x", "http://shop/b"):
            headers: dict[str, str] = {}
            with calling("GET", url, headers):
                told.append(headers["traceparent"])
        return told

    with Client(app) as client:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}
        told = client.get("/", headers=headers).json()
    return told, exporter.get_finished_spans()


def test_a_call_of_a_recorded_request_has_a_span_of_its_own(monkeypatch):
    told, spans = calls("01", monkeypatch)

    first, second, server = spans
    assert [line[36:52] for line in told] == [f"{s.context.span_id:016x}" for s in (first, second)]
    assert first.parent.span_id == server.context.span_id
    assert dict(first.attributes) == {
        "http.request.method": "GET",
        "url.full": "https://shop:8443/a?token=[redacted]",
        "server.address": "shop",
        "server.port": 8443,
    }
    assert second.attributes["server.port"] == 80


def test_a_call_of_any_other_only_tells(monkeypatch):
    told, spans = calls("00", monkeypatch)

    assert [line[:36] for line in told] == [f"00-{TRACE}-"] * 2
    assert spans == ()
