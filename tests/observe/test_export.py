"""Metrics over OTLP: what a collector is told, all of it or what was added."""

import threading

import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as told
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as service
from opentelemetry.proto.metrics.v1 import metrics_pb2 as proto
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.resources import Resource

from megahertz import App
from megahertz.engine import Plane
from megahertz.errors import BadSettings, Misused
from megahertz.observe import MetricsExport
from megahertz.observe.collect import EDGES, Exemplar, Histogram, Point, collect
from megahertz.observe.export import leads
from megahertz.observe.families import NAMED, ROUTES
from megahertz.observe.otlp import Conversion, name_of
from megahertz.testing import Client
from tests.observe.otlp import over_grpc, over_http


class Collector:
    """Takes metrics, and has the last of each by its name."""

    def __init__(self):
        self.metrics, self.resource, self.came = {}, {}, threading.Event()

    def take(self, request):
        for resource in request.resource_metrics:
            self.resource = {it.key: it.value.string_value for it in resource.resource.attributes}
            for scope in resource.scope_metrics:
                self.metrics.update({metric.name: metric for metric in scope.metrics})
        self.came.set()


@pytest.fixture
def by_http():
    collector = Collector()
    parse = told.ExportMetricsServiceRequest.FromString
    with over_http("/v1/metrics", lambda body: collector.take(parse(body))) as address:
        yield collector, address


@pytest.fixture
def by_grpc():
    collector = Collector()
    add, answer = service.add_MetricsServiceServicer_to_server, told.ExportMetricsServiceResponse
    with over_grpc(add, service.MetricsServiceServicer, collector.take, answer) as address:
        yield collector, address


@pytest.mark.parametrize("way", ["by_http", "by_grpc"])
def test_what_was_counted_arrives(way, request):
    collector, address = request.getfixturevalue(way)
    resource = {"deployment.environment.name": "test"}
    export = MetricsExport(
        address, interval=3600, service="shop", resource=resource, where=lambda: app.plane
    )
    app = App(metrics_url="/metrics", resources=[export], openapi_url=None)

    @app.get("/items/{sku}")
    async def item(sku: int) -> int:
        return sku

    with Client(app) as client:
        client.get("/items/1")
        client.get("/items/2")

    assert collector.came.wait(20)
    assert collector.resource["service.name"] == "shop"
    assert collector.resource["deployment.environment.name"] == "test"
    duration = collector.metrics["http.server.request.duration"]
    assert duration.unit == "s"
    assert duration.histogram.aggregation_temporality == proto.AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = [it for it in duration.histogram.data_points if of(it)["http.route"] != "/metrics"]
    assert of(point) == {"http.request.method": "GET", "http.route": "/items/{sku}"}
    assert (point.count, sum(point.bucket_counts)) == (2, 2)
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    requests = collector.metrics["megahertz.requests"].sum
    assert requests.is_monotonic
    assert sum(it.as_int or it.as_double for it in requests.data_points) == 2
    memory = collector.metrics["process.memory.usage"].sum
    assert not memory.is_monotonic
    assert memory.data_points[0].as_double > 1e6
    assert collector.metrics["megahertz.tasks"].gauge.data_points[0].as_double >= 1
    collections = collector.metrics["cpython.gc.collections"].sum.data_points
    assert {of(it)["cpython.gc.generation"] for it in collections} == {"0", "1", "2"}


def of(point):
    return {it.key: it.value.string_value for it in point.attributes}


def test_with_delta_only_what_was_added_is_told():
    counter, histogram = NAMED["answers_total"], ROUTES[2]
    made = Conversion(Resource.create({}), began=100, delta=True)

    def export(count, counts, seconds, now):
        exemplars = [Exemplar(1, 2, 70_000, 150), *[None] * 20]
        points = [Point((), Histogram(counts, seconds, exemplars))]
        data = made.data([(counter, [Point((), count)]), (histogram, points)], now=now)
        (scope,) = data.resource_metrics[0].scope_metrics
        return [metric.data for metric in scope.metrics]

    first, spread = export(5, (1, *[3] * 20), 0.5, 200)
    assert first.aggregation_temporality == AggregationTemporality.DELTA
    (point,) = first.data_points
    assert (point.value, point.start_time_unix_nano, point.time_unix_nano) == (5, 100, 200)
    (bucket,) = spread.data_points
    assert (bucket.bucket_counts[:3], bucket.count, bucket.sum) == ([1, 2, 0], 3, 0.5)
    assert [it.trace_id for it in bucket.exemplars] == [1]

    second, spread = export(7, (1, *[4] * 20), 0.75, 300)
    (point,) = second.data_points
    assert (point.value, point.start_time_unix_nano) == (2, 200)
    (bucket,) = spread.data_points
    assert (bucket.bucket_counts[:3], bucket.count, bucket.sum) == ([0, 1, 0], 1, 0.25)
    assert bucket.exemplars == []  # it was told


def test_all_buckets_have_bounds():
    made = Conversion(Resource.create({}), began=1, delta=False)
    histogram = Histogram(tuple(range(len(EDGES) + 1)), 1.0)
    data = made.data([(ROUTES[2], [Point((), histogram)])], now=2)
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert point.start_time_unix_nano == 1


def test_names_come_back_as_they_were():
    """What a converter to Prometheus makes of them: dots, the unit, `_total`."""
    for family in NAMED.values():
        if family.otel:
            continue
        name = name_of(family).replace(".", "_")
        name += {"s": "_seconds", "By": "_bytes"}.get(family.unit, "")
        name += "_total" if family.kind == "counter" else ""
        assert name == f"megahertz_{family.name}"


def test_one_worker_speaks_for_all():
    whole = Plane.shared(2)
    assert leads(whole)  # a supervisor has no part
    part = Plane(whole.fileno())
    assert leads(part)
    assert list(collect(whole))


class Broken:
    """An exporter that never comes through."""

    tries = 0
    over = False

    def export(self, data):
        self.tries += 1
        raise OSError("the collector is gone")

    def shutdown(self):
        self.over = True


async def test_a_collector_that_is_gone_is_told_of_and_no_more(caplog):
    broken = Broken()
    async with MetricsExport(broken, interval=3600, where=Plane):
        pass
    assert (broken.tries, broken.over) == (1, True)
    assert "metrics could not be sent: the collector is gone" in caplog.text


async def test_without_a_server_there_is_nothing_to_tell():
    with pytest.raises(Misused, match="where="):
        await MetricsExport(Broken()).__aenter__()


@pytest.mark.parametrize(
    "wrong",
    [
        {"exporter": "127.0.0.1:4317"},
        {"exporter": "ftp://x"},
        {"exporter": "http://x", "interval": 0},
        {"exporter": "http://x", "temporality": "sometimes"},
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(BadSettings):
        MetricsExport(**wrong)


def test_the_environment_says_what_is_not_given(monkeypatch):
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "1500")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "DELTA")
    export = MetricsExport(Broken())
    assert (export._interval, export._delta) == (1.5, True)
    assert MetricsExport(Broken(), interval=2.0, temporality="cumulative")._interval == 2.0
