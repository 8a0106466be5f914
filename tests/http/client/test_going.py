"""What goes with a call by itself: traces, baggage, and a span where the caller is recorded."""

import asyncio
from functools import partial

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from megahertz import App, Client, testing
from megahertz.errors import ConnectError
from megahertz.observe import Tracing
from tests.virtual import virtual

from .pools import Came, Scripted

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TOLD = {"baggage": "tenant=7", "tracestate": "a=b"}


@pytest.fixture
def calls_of(monkeypatch):
    """Makes calls whose spans are found, whichever provider the process has by now."""
    exporter = InMemorySpanExporter()
    tracing = Tracing(1.0, exporter=exporter)
    monkeypatch.setattr(trace, "get_tracer", tracing.provider.get_tracer)
    return partial(called, tracing, exporter)


def called(tracing, exporter, client, pool, *, flag, call=None, **options):
    """What the pool is asked by a handler of a request that brings a trace; and the spans."""
    app = App(layers=[tracing])

    @app.get("/")
    async def handler() -> str:
        if call is not None:
            await call(client)
        else:
            await client.get("http://next/x?token=secret", **options)
        return "done"

    with testing.Client(app) as server:
        server.get("/", headers={"traceparent": f"00-{TRACE}-{PARENT}-{flag}", **TOLD})
    tracing.provider.force_flush()
    return pool.sent, [
        span for span in exporter.get_finished_spans() if span.kind is SpanKind.CLIENT
    ]


@virtual
async def test_where_nothing_is_known_nothing_is_told():
    pool = Scripted(Came())
    await Client(pool=pool).get("http://a/")
    names = {name for name, _ in pool.sent[0].headers}

    assert names == {"accept", "accept-encoding", "user-agent"}


@pytest.mark.parametrize("options", [{}, {"timeout": 3}], ids=["bare", "whole"])
def test_a_trace_goes_on_without_being_recorded(options, calls_of):
    pool = Scripted(Came())
    (sent,), spans = calls_of(Client(pool=pool), pool, flag="00", **options)
    version, trace, span, flags = sent.header("traceparent").split("-")

    assert (version, trace, flags) == ("00", TRACE, "00")
    assert span != PARENT
    assert sent.header("tracestate") == "a=b"
    assert sent.header("baggage") == "tenant=7"
    assert spans == []


@pytest.mark.parametrize("options", [{}, {"timeout": 3}], ids=["bare", "whole"])
def test_a_call_of_a_recorded_request_has_a_span(options, calls_of):
    pool = Scripted(Came(404))
    (sent,), (span,) = calls_of(Client(pool=pool), pool, flag="01", **options)

    assert sent.header("traceparent") == f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert sent.header("baggage") == "tenant=7"
    assert span.name == "GET"
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "url.full": "http://next/x?token=[redacted]",
        "server.address": "next",
        "server.port": 80,
        "http.response.status_code": 404,
        "error.type": "404",
    }
    assert span.status.status_code is StatusCode.ERROR


def test_a_call_without_an_answer_has_a_span_too(calls_of):
    pool = Scripted(ConnectError("refused"))
    _, (span,) = calls_of(Client(pool=pool), pool, flag="01")

    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "ConnectError"


def test_what_is_called_twice_has_two_spans(calls_of):
    pool = Scripted(Came(302, [("location", "/y")]), Came())
    sent, spans = calls_of(Client(pool=pool, follow_redirects=True), pool, flag="01")

    assert len(spans) == 2
    assert len({each.header("traceparent") for each in sent}) == 2


@pytest.mark.parametrize("flag", ["00", "01"])
def test_a_callers_own_fields_go_before_ours(flag, calls_of):
    pool = Scripted(Came())
    own = {"baggage": "mine=1", "traceparent": f"00-{TRACE}-{PARENT}-00"}
    (sent,), _ = calls_of(Client(pool=pool), pool, flag=flag, headers=own)

    assert [value for name, value in sent.headers if name == "baggage"] == ["mine=1"]
    if flag == "00":
        assert sent.header("traceparent") == own["traceparent"]


@pytest.mark.parametrize("flag", ["00", "01"])
def test_a_stranger_is_told_nothing(flag, calls_of):
    pool = Scripted(Came())
    (sent,), spans = calls_of(Client(pool=pool, propagate=False), pool, flag=flag)

    assert {name for name, _ in sent.headers} == {"accept", "accept-encoding", "user-agent"}
    assert spans == []


@pytest.mark.parametrize("flag", ["00", "01"])
def test_where_a_redirect_leads_to_a_stranger_the_baggage_stays(flag, calls_of):
    pool = Scripted(Came(302, [("location", "http://other/")]), Came())
    sent, _ = calls_of(Client(pool=pool, follow_redirects=True), pool, flag=flag)

    assert sent[0].header("baggage") == "tenant=7"
    assert sent[1].header("baggage") is None
    assert sent[1].header("traceparent") is not None


def test_calls_beside_each_other_each_have_their_own(calls_of):
    pool = Scripted(Came())

    async def call(client):
        await asyncio.gather(*(client.get(f"http://next/{n}") for n in range(5)))

    sent, spans = calls_of(Client(pool=pool), pool, flag="01", call=call)

    assert {each.header("traceparent").split("-")[2] for each in sent} == {
        f"{span.context.span_id:016x}" for span in spans
    }
    assert len(spans) == 5
