"""What Prometheus is told."""

import shutil
import socket
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
from megahertz.observe.collect import EDGES, Point, cumulated, of_route
from megahertz.observe.exposition import prometheus_text
from megahertz.observe.families import ALL, ROUTES
from megahertz.observe.metrics import of_users
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

    *told, everything = cumulated(buckets, bounds)
    for edge, count in zip(EDGES, told, strict=True):
        assert count == sum(it for it, at in zip(buckets, bounds, strict=True) if at <= edge)
    assert everything == sum(buckets)


def test_every_bound_that_is_shown_is_one_of_the_segments():
    assert set(EDGES) <= set(Plane.bounds())


def test_labels_are_escaped():
    point = Point(of_route('GET /a"b\\c\nd'), 1)
    *_, line = prometheus_text([(ROUTES[0], [point])])

    assert line == 'megahertz_requests_total{method="GET",route="/a\\"b\\\\c\\nd"} 1'


def test_metrics_of_users_are_told_as_well(monkeypatch, tmp_path):
    registry = prometheus_client.CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    prometheus_client.Counter("orders", "Sold.", registry=registry).inc(3)

    text = exposition(Plane()).decode()
    assert told(text)["orders_total",] == 3

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert b"orders_total" not in of_users()
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert of_users() == b""


def test_what_the_engine_and_the_process_came_to():
    with Client(shop()) as client:
        client.get("/items/1")
        client.get("/nowhere")
        found = told(client.get("/metrics").text)

    assert found["megahertz_connections_accepted_total",] >= 1
    assert found["megahertz_connections_open", ("worker", "0")] >= 1
    assert found["megahertz_requests_received_total",] == 3
    assert found["megahertz_answers_total",] == 2
    assert found["megahertz_engine_refusals_total", ("reason", "not_found")] == 1
    assert found["megahertz_parse_errors_total", ("kind", "malformed")] == 0
    assert found["megahertz_received_bytes_total",] > 100
    assert found["megahertz_sent_bytes_total",] > 100
    for name in ("tasks", "threads", "resident_memory_bytes", "open_files", "max_files"):
        assert found[f"megahertz_{name}", ("worker", "0")] >= 1
    # Of every application of this process, and other tests may have left some.
    assert found["megahertz_pool_threads", ("pool", "handlers"), ("worker", "0")] >= 40
    assert found["megahertz_workers",] == 1


def test_bytes_that_are_no_request_are_told_by_what_is_wrong():
    app = shop()
    with Client(app) as client:
        with socket.create_connection(("127.0.0.1", client.port)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nbroken\r\n\r\n")
            assert sock.makefile("rb").read().startswith(b"HTTP/1.1 400")
        found = told(client.get("/metrics").text)

    assert found["megahertz_parse_errors_total", ("kind", "malformed")] == 1
    assert ("megahertz_engine_refusals_total", ("reason", "malformed")) not in found


def test_a_request_whose_body_comes_late_is_counted_once():
    app = shop()

    @app.post("/orders")
    async def order(order: dict[str, int]) -> None: ...

    with Client(app) as client:
        with socket.create_connection(("127.0.0.1", client.port)) as sock:
            head = b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-length: 8\r\n\r\n"
            sock.sendall(head + b'{"a"')
            sock.sendall(b": 1}" + b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            text = sock.makefile("rb").read().decode()
        found = told(text[text.index("# HELP") :])

    assert found["megahertz_requests_received_total",] == 2


def test_every_name_that_is_told_is_one_of_the_table():
    with Client(shop()) as client:
        text = client.get("/metrics").text
    known = {f"megahertz_{family.name}": family.kind for family in ALL}
    families = text_string_to_metric_families(text)
    ours = [it for it in families if it.name.startswith("megahertz_")]

    assert ours
    for family in ours:
        total = f"{family.name}_total" if family.type == "counter" else family.name
        assert known[total] == family.type
