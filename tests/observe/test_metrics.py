"""What Prometheus is told."""

import shutil
import subprocess
import sys

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from megahertz import GCRA, App, Policy
from megahertz.engine import Plane
from megahertz.observe import exposition
from megahertz.observe.metrics import _histogram, _labels, of_users
from megahertz.testing import Client, TestClient


def told(text):
    """Values by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def shop() -> App:
    app = App(metrics_url="/metrics")

    @app.get("/items/{sku}")
    async def item(sku: int) -> int:
        return sku

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("why")

    @app.get("/limited", policy=Policy(limit=GCRA(1, per=3600)))
    async def limited() -> None: ...

    return app


@pytest.mark.parametrize("kind", [Client, TestClient])
def test_what_routes_came_to(kind):
    options = {} if kind is Client else {"raise_server_exceptions": False}
    with kind(shop(), **options) as client:
        for path in ("/items/1", "/items/2", "/items/x", "/broken", "/limited", "/limited"):
            client.get(path)
        answer = client.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = told(answer.text)

    def requests(route, status):
        labels = (("method", "GET"), ("route", route), ("status", status))
        return found["megahertz_requests_total", *labels]

    assert requests("/items/{sku}", "2xx") == 2
    assert requests("/items/{sku}", "4xx") == 1
    assert requests("/broken", "5xx") == 1
    assert requests("/limited", "2xx") == 1
    rule = (("method", "GET"), ("route", "/limited"), ("rule", "limit"))
    assert found["megahertz_refused_total", *rule] == 1
    route = (("method", "GET"), ("route", "/items/{sku}"))
    assert found["megahertz_request_duration_seconds_count", *route] == 3
    assert found["megahertz_request_duration_seconds_sum", *route] > 0
    metrics = (("method", "GET"), ("route", "/metrics"))
    assert found["megahertz_requests_running", *metrics] == 1


def test_promtool_finds_nothing_to_say_against_it():
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is missing: run tests/servers.sh, or apt-get install prometheus")
    with Client(shop()) as client:
        client.get("/items/1")
        text = client.get("/metrics").text

    done = subprocess.run([program, "check", "metrics"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_it_routes_without_rules_are_not_counted():
    app = App()

    @app.get("/")
    async def handler() -> None: ...

    with Client(app) as client:
        client.get("/")
        assert client.get("/metrics").status_code == 404
    assert app.gates.plane().tallies() == []


@given(st.lists(st.tuples(st.integers(0, 415), st.integers(1, 9)), max_size=20))
def test_no_request_is_in_a_wrong_bucket(counts):
    bounds = Plane.bounds()
    buckets = [0] * len(bounds)
    for bucket, count in counts:
        buckets[bucket] += count

    for line in _histogram("m", "", buckets, bounds):
        edge, count = line.split('le="')[1].split('"} ')
        below = sum(
            it for it, bound in zip(buckets, bounds, strict=True) if bound <= float(edge) * 1e9
        )
        assert int(count) == (sum(buckets) if edge == "+Inf" else below)


def test_every_bound_that_is_shown_is_one_of_the_segments():
    bounds = set(Plane.bounds())
    lines = list(_histogram("m", "", [0] * 416, Plane.bounds()))[:-1]
    edges = [float(line.split('le="')[1].split('"')[0]) for line in lines]

    assert all(round(edge * 1e9) in bounds for edge in edges)


def test_labels_are_escaped():
    assert _labels('GET /a"b\\c\nd') == 'method="GET",route="/a\\"b\\\\c\\nd"'


def test_metrics_of_users_are_told_as_well(monkeypatch, tmp_path):
    registry = prometheus_client.CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    prometheus_client.Counter("orders", "Sold.", registry=registry).inc(3)

    text = exposition(Plane(), ("deadline",)).decode()
    assert told(text)["orders_total",] == 3

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert b"orders_total" not in of_users()
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert of_users() == b""
