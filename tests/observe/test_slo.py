"""Objectives of routes, and the rules that are made of them, by Prometheus's own tool."""

import subprocess
import sys

import pytest

from megahertz import App, Router
from megahertz.errors import BadSettings
from megahertz.observe import SLO, Objective, slo_rules
from megahertz.observe.slo import DAY
from megahertz.testing import Client

SHOP = Objective("GET", "/items/{sku}", SLO(availability=0.999, latency=0.2))


def test_they_are_rules(promtool, tmp_path):
    file = tmp_path / "slo.yml"
    odd = Objective("GET", '/a"b\\c', SLO(availability=0.9, window=7 * DAY))
    file.write_text(slo_rules([SHOP, odd]))

    promtool("check", "rules", file)


def test_the_alerts_are_the_workbooks():
    text = slo_rules([SHOP])
    # 14.4, 6, 3 and 1 times a budget of 0.001, over 30 days.
    limits = [line.rpartition("> ")[2].rstrip('"') for line in text.splitlines() if " > " in line]
    assert limits == ["0.0144", "0.006", "0.003", "0.001", "0.144", "0.06", "0.03", "0.01"]


def test_an_alert_that_could_never_fire_is_not_made():
    text = slo_rules([Objective("GET", "/", SLO(availability=0.9))])
    assert text.count("- alert:") == 3  # 14.4 times a tenth is more than all


SERIES = """
rule_files: [RULES]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: megahertz_requests_total{job="shop",method="GET",route="/items/{sku}",status="2xx"}
        values: 0+980x90
      - series: megahertz_requests_total{job="shop",method="GET",route="/items/{sku}",status="5xx"}
        values: 0+5x90
      - series: megahertz_requests_total{job="shop",method="GET",route="/items/{sku}",status="gone"}
        values: 0+500x90
      - series: megahertz_refused_total{job="shop",method="GET",route="/items/{sku}",rule="shed"}
        values: 0+15x90
      - series: megahertz_refused_total{job="shop",method="GET",route="/items/{sku}",rule="limit"}
        values: 0+500x90
      - series: megahertz_request_duration_seconds_count{job="shop",method="GET",route="/items/{sku}"}
        values: 0+1000x90
      - series: megahertz_slo_fast_total{job="shop",method="GET",route="/items/{sku}"}
        values: 0+995x90
    promql_expr_test:
      - expr: round(slo:error_ratio:rate1h, 0.0001)
        eval_time: 90m
        exp_samples:
          - labels: '{job="shop",method="GET",route="/items/{sku}",slo="availability"}'
            value: 0.02
          - labels: '{job="shop",method="GET",route="/items/{sku}",slo="latency"}'
            value: 0.005
      - expr: round(slo:budget_left:ratio, 0.001)
        eval_time: 90m
        exp_samples:
          - labels: '{job="shop",method="GET",route="/items/{sku}",slo="availability"}'
            value: -19
          - labels: '{job="shop",method="GET",route="/items/{sku}",slo="latency"}'
            value: 0.5
    alert_rule_test:
      - eval_time: 90m
        alertname: MegahertzBudgetBurns
        exp_alerts:
          - exp_labels: {job: shop, method: GET, route: "/items/{sku}", slo: availability, severity: page, window: 1h}
            exp_annotations:
              summary: "GET /items/{sku}: 99.9 % are to be answered below 500; 2% of the last 1h were not, 14.4 times what the budget of 0.001 allows"
          - exp_labels: {job: shop, method: GET, route: "/items/{sku}", slo: availability, severity: page, window: 6h}
            exp_annotations:
              summary: "GET /items/{sku}: 99.9 % are to be answered below 500; 2% of the last 6h were not, 6 times what the budget of 0.001 allows"
          - exp_labels: {job: shop, method: GET, route: "/items/{sku}", slo: availability, severity: ticket, window: 1d}
            exp_annotations:
              summary: "GET /items/{sku}: 99.9 % are to be answered below 500; 2% of the last 1d were not, 3 times what the budget of 0.001 allows"
          - exp_labels: {job: shop, method: GET, route: "/items/{sku}", slo: availability, severity: ticket, window: 3d}
            exp_annotations:
              summary: "GET /items/{sku}: 99.9 % are to be answered below 500; 2% of the last 3d were not, 1 times what the budget of 0.001 allows"
"""  # noqa: E501


def test_what_burns_the_budget_fires_and_what_does_not_does_not(promtool, tmp_path):
    """2 % are bad, of those that ended and of those that we refused; 0.5 % are slow."""
    file, tests = tmp_path / "slo.yml", tmp_path / "tests.yml"
    file.write_text(slo_rules([SHOP]))
    tests.write_text(SERIES.replace("RULES", str(file)))

    promtool("test", "rules", tests)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"availability": 1},
        {"availability": 0.0},
        {"latency": 0},
        {"latency": 1, "within": 1.5},
        {"availability": 0.9, "window": DAY},
    ],
)
def test_an_objective_that_is_none_is_refused(wrong):
    with pytest.raises(BadSettings):
        SLO(**wrong)


def test_routes_inherit_objectives_and_have_their_own():
    app, inner = App(metrics_url="/metrics", slo=SLO(availability=0.99)), Router("/in")
    own = SLO(latency=0.1)

    @app.get("/own", slo=own)
    async def first() -> None: ...

    @inner.get("/x")
    async def second() -> None: ...

    app.include(inner)
    found = {route.path: route.slo for route in app.declared()}
    assert found == {"/own": own, "/in/x": SLO(availability=0.99), "/metrics": None}


def test_requests_are_counted_at_the_objectives_latency():
    app = App(metrics_url="/metrics")

    @app.get("/{name}", slo=SLO(latency=300.0))
    async def quick(name: str) -> None: ...

    @app.get("/no/{name}", slo=SLO(latency=1e-6))
    async def slow(name: str) -> None: ...

    with Client(app) as client:
        for path in ("/a", "/b", "/no/a"):
            client.get(path)
        text = client.get("/metrics").text

    assert 'megahertz_slo_fast_total{method="GET",route="/{name}"} 2' in text
    assert 'megahertz_slo_fast_total{method="GET",route="/no/{name}"} 0' in text
    told = 'megahertz_slo_latency_seconds{method="GET",route="/{name}"}'
    line = next(line for line in text.splitlines() if line.startswith(told))
    assert float(line.split()[-1]) == pytest.approx(300.0, rel=0.032)


def mhz(directory, *arguments):
    command = [sys.executable, "-m", "megahertz", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True)


def test_the_command_writes_them(tmp_path):
    (tmp_path / "shop.py").write_text(
        "from megahertz import App\n"
        "from megahertz.observe import SLO\n"
        "app, bare = App(), App()\n"
        "@app.get('/x', slo=SLO(availability=0.99))\n"
        "async def x() -> None: ...\n"
    )
    done = mhz(tmp_path, "slo", "shop:app")
    objective = Objective("GET", "/x", SLO(availability=0.99))
    assert (done.returncode, done.stdout) == (0, slo_rules([objective]))
    done = mhz(tmp_path, "slo", "shop:bare")
    assert done.returncode != 0
    assert "no route has an objective" in done.stderr
