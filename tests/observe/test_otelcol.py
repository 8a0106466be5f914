"""A real OpenTelemetry collector: spans of two services and their metrics arrive whole.

Where the collector has not been built (tests/collector.sh, two minutes), `test_collector.py` and
`test_export.py` decode the same bytes by OpenTelemetry's own definitions, and this is skipped;
MEGAHERTZ_SUITES=all builds it.
"""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from opentelemetry import trace

from megahertz import App
from megahertz.observe import MetricsExport, Tracing
from tests.cluster import free_port
from tests.observe.otlp import chained

ROOT = Path(__file__).parents[2]
OTELCOL = ROOT / ".venv-collector/otelcol"

pytestmark = pytest.mark.skipif(
    os.environ.get("MEGAHERTZ_SUITES") != "all" and not OTELCOL.exists(),
    reason="a collector of Go is built first: tests/collector.sh, or MEGAHERTZ_SUITES=all",
)

CONFIG = """
receivers:
  otlp:
    protocols:
      http: {endpoint: "127.0.0.1:HTTP"}
      grpc: {endpoint: "127.0.0.1:GRPC"}
exporters:
  file: {path: FILE, flush_interval: 50ms}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file]}
    metrics: {receivers: [otlp], exporters: [file]}
"""


def until(condition):
    """Polls a process of somebody else's: it tells nobody when it has written."""
    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


def answers(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def collector(tmp_path):
    """Its addresses by the way to it, and what it has written."""
    if not OTELCOL.exists():
        subprocess.run([ROOT / "tests/collector.sh"], check=True)
    ports, file, config = (free_port(), free_port()), tmp_path / "told", tmp_path / "config.yaml"
    text = CONFIG.replace("HTTP", str(ports[0])).replace("GRPC", str(ports[1]))
    config.write_text(text.replace("FILE", str(file)))
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([OTELCOL, f"--config={config}"], stdout=log, stderr=log)
        until(lambda: all(map(answers, ports)))

        def told():
            lines = file.read_text().splitlines() if file.exists() else []
            return [json.loads(line) for line in lines if line.endswith("}")]

        yield {"http": f"http://127.0.0.1:{ports[0]}", "grpc": f"grpc://127.0.0.1:{ports[1]}"}, told
        process.terminate()
        process.wait(20)


def values(items):
    return {it["key"]: next(iter(it["value"].values())) for it in items}


def each(told):
    """Every span with its service's name."""
    return [
        (values(resource["resource"]["attributes"])["service.name"], span)
        for document in told
        for resource in document.get("resourceSpans", ())
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def metrics(told):
    return {
        metric["name"]: metric
        for document in told
        for resource in document.get("resourceMetrics", ())
        for scope in resource["scopeMetrics"]
        for metric in scope["metrics"]
    }


@pytest.mark.parametrize("way", ["http", "grpc"])
@pytest.mark.timeout(400)
def test_a_trace_through_two_services_and_their_metrics_arrive(way, collector, monkeypatch):
    addresses, told = collector
    address = addresses[way]
    tracing = Tracing(1.0, exporter=address, service="front")
    monkeypatch.setattr(trace, "get_tracer", tracing.provider.get_tracer)
    export = MetricsExport(address, interval=3600, service="front", where=lambda: front.plane)
    front = App(layers=[tracing], metrics_url="/metrics", resources=[export])
    back = App(layers=[Tracing(exporter=address, service="back")])

    with chained(front, back) as client:
        for sku in range(20):
            assert client.get(f"/items/{sku}").json() == sku

    # Three of each request, none lost and none twice.
    until(lambda: len(each(told())) >= 60)
    assert len(each(told())) == 60
    found = {(service, span["name"]): span for service, span in each(told())}
    root, call, behind_it = (
        found["front", "GET /items/{sku}"],
        found["front", "GET"],
        found["back", "GET /stock/{sku}"],
    )
    assert not root.get("parentSpanId")
    assert len({root["traceId"], call["traceId"], behind_it["traceId"]}) == 1
    assert call["parentSpanId"] == root["spanId"]
    assert behind_it["parentSpanId"] == call["spanId"]
    assert values(behind_it["attributes"])["http.response.status_code"] == "200"

    duration = until(lambda: metrics(told()).get("http.server.request.duration"))["histogram"]
    (point,) = [
        it
        for it in duration["dataPoints"]
        if values(it["attributes"])["http.route"] == "/items/{sku}"
    ]
    assert point["count"] == "20"
    traces = {it["traceId"] for it in point["exemplars"]}
    assert root["traceId"] in traces
