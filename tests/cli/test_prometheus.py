"""A real Prometheus scrapes four workers: the dashboard's queries have data, the alerts fire."""

import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from megahertz.observe.families import ALL, PREFIX

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/megahertz.json").read_text())

SHOP = """
import msgspec
from megahertz import GCRA, App, Policy, Response
from megahertz.backends import Redis
from megahertz.data import WriteBehind
from megahertz.observe import SLO, Logs, Tracing
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

class Order(msgspec.Struct):
    sku: int

async def sink(batch): ...

orders = WriteBehind("journal-{worker}", sink, type=Order, key=lambda order: order.sku)
redis = Redis(port=1)  # which nobody asks
layers = [Tracing(1.0, exporter=InMemorySpanExporter()), Logs(access=False)]
app = App(metrics_url="/metrics", layers=layers, resources=[orders])

@app.get("/items/{sku}", slo=SLO(availability=0.999, latency=0.2))
async def item(sku: int) -> int:
    await orders.put(Order(sku))
    return sku

@app.get("/broken")
async def broken() -> Response:
    return Response(status_code=503)

@app.get("/limited", policy=Policy(limit=GCRA(1, per=3600)))
def limited() -> None: ...
"""

QUICK = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [alerts.yml, slo.yml]
scrape_configs:
  - job_name: shop
    static_configs: [{targets: ["TARGET"]}]
"""


def expressions():
    """Of every panel, with its title."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def quick(expression):
    """As it is for a Prometheus that has scraped for some seconds."""
    for variable, value in (("$job", ".+"), ("$__rate_interval", "10s"), ("$__range", "10s")):
        expression = expression.replace(variable, value)
    return expression


def quick_rules(text):
    """Alerts that need no minutes."""
    text = re.sub(r"for: \w+", "for: 0s", text).replace("interval: 5m", "interval: 1s")
    return re.sub(r"\[[15]m\]", "[10s]", text)


class Prometheus:
    """One of its own, with an empty store."""

    def __init__(self, directory, target):
        program = shutil.which("prometheus")
        if program is None:
            pytest.fail(
                "prometheus is missing: run tests/servers.sh, or apt-get install prometheus"
            )
        (directory / "prometheus.yml").write_text(QUICK.replace("TARGET", target))
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/api/v1/"
        self.log = (directory / "prometheus.log").open("w")
        self.process = subprocess.Popen(
            [
                program,
                f"--config.file={directory}/prometheus.yml",
                f"--storage.tsdb.path={directory}/tsdb",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=self.log,
            stderr=self.log,
        )

    def ask(self, path, **query):
        """None until it answers."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code != 503:  # it is not ready yet
                raise
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
        return None

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


@pytest.fixture
def scraped(serve, tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    served = serve("shop:app", "--port", "0", "--workers", "4", "--metrics", "127.0.0.1:0")
    line = ""
    while "metrics are at" not in line:
        line = served.process.stderr.readline()
        assert line
    served.wait_for_url()
    made = subprocess.run(
        [shutil.which("mhz", path=str(Path(served.process.args[0]).parent)), "slo", "shop:app"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    (tmp_path / "slo.yml").write_text(quick_rules(made.stdout))
    alerts = (DEPLOY / "prometheus/alerts.yml").read_text()
    (tmp_path / "alerts.yml").write_text(quick_rules(alerts))
    prometheus = Prometheus(tmp_path, re.search(r"http://(\S+)/metrics", line)[1])
    yield served, prometheus
    prometheus.close()


def get(served, path):
    try:
        return served.get(path)
    except urllib.error.HTTPError as error:
        return error.read()


def test_the_dashboard_has_data_and_the_alerts_fire(scraped, until):
    """One start of everything for both: it takes longer than the asking."""
    served, prometheus = scraped
    asked = {title: [] for title, _ in expressions()}

    def has_data(expression):
        for path in ("/items/1", "/items/2", "/limited", "/broken"):
            get(served, path)
        found = prometheus.ask("query", query=quick(expression))
        return bool(found and found["result"])

    for title, expression in expressions():
        until(lambda expression=expression: has_data(expression), 60)
        asked[title].append(expression)
    assert all(asked.values())

    def fires(name):
        get(served, "/broken")
        found = prometheus.ask("alerts") or {"alerts": []}
        return [
            alert["labels"]["route"]
            for alert in found["alerts"]
            if alert["labels"]["alertname"] == name and alert["state"] == "firing"
        ]

    assert until(lambda: fires("MegahertzErrors"), 60) == ["/broken"]
    (family,) = prometheus.ask(
        "query_exemplars",
        query="megahertz_request_duration_seconds_bucket{route='/broken'}",
        start=0,
        end=1 << 33,
    )[:1]
    assert len(family["exemplars"][0]["labels"]["trace_id"]) == 32
    (target,) = prometheus.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert served.end() == 0


NAMES = {f"{PREFIX}{family.name}" for family in ALL}
RECORDED = {"slo:budget_left:ratio", "slo:error_ratio:rate1h"}


def told(text):
    """Names of metrics in a file of rules or of a dashboard."""
    for name in re.findall(r"\bmegahertz_\w+", text):
        yield re.sub(r"_duration_seconds_(bucket|sum|count)$", "_duration_seconds", name)


@pytest.mark.parametrize("file", ["grafana/megahertz.json", "prometheus/alerts.yml"])
def test_every_metric_that_is_asked_for_is_one_of_ours(file):
    assert set(told((DEPLOY / file).read_text())) <= NAMES


def test_every_recording_that_is_asked_for_is_made():
    from megahertz.observe import SLO, Objective, slo_rules

    made = slo_rules([Objective("GET", "/", SLO(availability=0.9))])
    asked = {name for _, text in expressions() for name in re.findall(r"slo:\w+:\w+", text)}
    assert asked == RECORDED
    assert all(f"record: {name}\n" in made for name in asked)


def test_panels_have_places_of_their_own():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
