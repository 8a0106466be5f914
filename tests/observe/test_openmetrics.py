"""OpenMetrics: what is asked for, and what is told then."""

import gzip

import prometheus_client
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from megahertz import App
from megahertz.engine import Plane
from megahertz.observe import Tracing, exposition, scraped
from megahertz.observe.collect import Exemplar, Histogram, Point
from megahertz.observe.exposition import openmetrics_text
from megahertz.observe.families import ROUTES
from megahertz.testing import Client

ASKED = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}


def shop(*layers):
    app = App(metrics_url="/metrics", layers=layers)

    @app.get("/items/{sku}")
    async def item(sku: int) -> int:
        return sku

    return app


def buckets(text, route):
    (family,) = [
        it
        for it in text_string_to_metric_families(text)
        if it.name == "megahertz_request_duration_seconds"
    ]
    return [
        it for it in family.samples if it.name.endswith("_bucket") and it.labels["route"] == route
    ]


def test_it_is_what_its_own_parser_takes_and_ends_with_eof():
    with Client(shop()) as client:
        client.get("/items/1")
        answer = client.get("/metrics", headers=ASKED)

    kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.headers["content-type"] == kind
    assert answer.text.endswith("\n# EOF\n")
    families = {it.name: it for it in text_string_to_metric_families(answer.text)}
    requests = families["megahertz_requests"]
    names = {sample.name for sample in requests.samples}
    assert names == {"megahertz_requests_total", "megahertz_requests_created"}
    assert families["megahertz_gc_pause_seconds"].unit == "seconds"
    assert families["megahertz_tasks"].type == "gauge"


def test_a_sampled_request_is_its_buckets_exemplar():
    kept = InMemorySpanExporter()
    tracing = Tracing(1.0, exporter=kept)
    tracing.provider.add_span_processor(SimpleSpanProcessor(kept))
    with Client(shop(tracing)) as client:
        client.get("/items/1")
        text = client.get("/metrics", headers=ASKED).text
        plain = client.get("/metrics").text

    span = next(it for it in kept.get_finished_spans() if it.name == "GET /items/{sku}")
    (found,) = [it for it in buckets(text, "/items/{sku}") if it.exemplar is not None]
    trace_id, span_id = f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"
    assert found.exemplar.labels == {"trace_id": trace_id, "span_id": span_id}
    assert 0 < found.exemplar.value <= float(found.labels["le"])
    assert float(found.exemplar.timestamp) >= span.start_time / 1e9 - 0.001  # it has three digits
    assert trace_id not in plain


def test_what_is_not_traced_has_none():
    with Client(shop(Tracing(0.0, exporter=InMemorySpanExporter()))) as client:
        client.get("/items/1")
        text = client.get("/metrics", headers=ASKED).text

    assert all(it.exemplar is None for it in buckets(text, "/items/{sku}"))


def test_exemplars_are_shorter_than_the_specification_allows():
    """At most 128 characters of names and values of labels (section "Exemplars")."""
    longest = Exemplar(2**128 - 1, 2**64 - 1, 2**63, 2**62)
    histogram = Histogram(tuple(range(21)), 1.0, [longest] * 21)
    lines = list(openmetrics_text([(ROUTES[2], [Point((), histogram)])], began=1.0))
    labels = lines[3].partition("# {")[2].partition("}")[0]
    assert sum(map(len, labels.replace("=", "").replace('"', "").split(","))) <= 128


def test_created_may_be_left_out(monkeypatch):
    monkeypatch.setenv("PROMETHEUS_DISABLE_CREATED_SERIES", "True")
    with Client(shop()) as client:
        assert "_created" not in client.get("/metrics", headers=ASKED).text


def test_metrics_of_users_stand_in_front_of_the_end(monkeypatch):
    registry = prometheus_client.CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    prometheus_client.Counter("orders", "Sold.", registry=registry).inc(3)

    text = exposition(Plane(), openmetrics=True).decode()
    assert text.count("# EOF") == 1
    families = {it.name for it in text_string_to_metric_families(text)}
    assert {"orders", "megahertz_workers"} <= families


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=0.0.1", True),
        ("application/openmetrics-text; version=2.0.0", False),
        ("application/openmetrics-text; q=0", False),
        ("application/openmetrics-text; q=x", False),
        ("text/plain;q=0.3, application/openmetrics-text;version=1.0.0;q=0.5", True),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(accept, openmetrics):
    body, headers = scraped(Plane(), accept=accept, encoding="")
    assert body.endswith(b"# EOF\n") == openmetrics
    assert headers["content-type"].startswith("application/openmetrics-text") == openmetrics


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("br", False)],
)
def test_it_is_compressed_where_that_is_asked_for(encoding, packed, monkeypatch):
    monkeypatch.setattr("megahertz.observe.metrics.SMALL", 10)
    body, headers = scraped(Plane(), accept="", encoding=encoding)
    assert (headers.get("content-encoding") == "gzip") == packed
    text = gzip.decompress(body) if packed else body
    assert b"megahertz_workers 1" in text


def test_little_is_not_compressed(monkeypatch):
    monkeypatch.setattr("megahertz.observe.metrics.SMALL", 1 << 20)
    _, headers = scraped(Plane(), accept="", encoding="gzip")
    assert "content-encoding" not in headers
