"""Spans that a process keeps for who looks at it."""

import time
import uuid
from weakref import WeakSet

import pytest
from opentelemetry import trace

from megahertz import App
from megahertz.errors import BadSettings
from megahertz.observe import Kept, Tracing, kept
from megahertz.observe.kept import plain, slowest
from megahertz.testing import Client

TRACE = uuid.uuid4().hex
ASKED = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """Rings of other tests may live as long as their applications."""
    monkeypatch.setattr(Kept, "all", WeakSet())


def shop(**options):
    tracing = Tracing(1.0, service="shop", **options)
    app = App(layers=[tracing])

    @app.get("/items/{sku}")
    async def item(sku: int) -> int:
        tracer = tracing.provider.get_tracer("t")
        with tracer.start_as_current_span("price", kind=trace.SpanKind.CLIENT) as it:
            it.set_attribute("server.address", "db")
            it.set_attribute("server.port", 5432)
        return 1 // sku

    return app


def test_a_trace_is_kept_where_nothing_exports_it():
    app = shop(keep=8)
    with Client(app) as client:
        client.get("/items/1", headers=ASKED)
        price, request = kept(TRACE)
    assert (request.name, request.kind, request.status) == ("GET /items/{sku}", "server", 200)
    assert (request.service, request.parent) == ("shop", "00f067aa0ba902b7")
    assert (price.name, price.parent, price.peer) == ("price", request.span, "db:5432")
    assert 0 <= price.seconds <= request.seconds
    assert request.error is None
    assert kept("0" * 32) == []


def test_only_the_last_ones_are_kept():
    app = shop(keep=3)
    with Client(app) as client:
        for _ in range(5):
            client.get("/items/1", headers=ASKED)
        assert len(kept(TRACE)) == 3


def test_without_a_word_of_it_nothing_is_recorded():
    before = len(Kept.all)
    app = shop()
    assert app is not None
    assert len(Kept.all) == before
    with pytest.raises(BadSettings, match="keep"):
        Tracing(keep=-1)


def test_the_slowest_comes_first_with_what_it_spent_its_time_on():
    app = shop(keep=64)
    with Client(app) as client:
        for sku in (1, 0):
            client.get(f"/items/{sku}", headers=ASKED)
    mine = [one for one in slowest(1000, within=3600) if one.trace == TRACE]
    assert [one.seconds for one in mine] == sorted((one.seconds for one in mine), reverse=True)
    assert {one.error for one in mine if one.status == 500} != {None}
    assert all("price" in [span.name for span in one.spans] for one in mine)
    assert slowest(10, within=-3600) == []


def test_a_span_that_goes_on_has_no_length():
    tracing = Tracing(1.0, keep=4)
    span = tracing.provider.get_tracer("t").start_span("x")
    assert plain(span).seconds == 0.0
    span.end(time.time_ns() - 3_600_000_000_000)
    assert plain(span).seconds == 0.0


def test_it_has_the_shape_of_a_processor():
    ring = Kept(2)
    assert ring.force_flush()
    ring.on_end(object())
    ring.shutdown()
    assert ring.spans() == []
