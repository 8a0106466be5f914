from collections import Counter
from types import SimpleNamespace

import pytest

from megahertz.demo import measure
from megahertz.demo.measure import Meter
from megahertz.load import Usage, statuses


@pytest.fixture
def meter(monkeypatch):
    used = iter([Usage(10.0, 100), Usage(10.5, 300), Usage(11.0, 200)])
    monkeypatch.setattr(measure, "usage", lambda pid: next(used))
    return Meter(1)


def look(stage, elapsed, answered):
    return SimpleNamespace(stage=stage, elapsed=elapsed, answered=answered)


def report(**changes):
    kinds = (Counter({201: 90, 500: 4}), Counter({404: 6}))
    mix = (SimpleNamespace(expect=statuses("201")), SimpleNamespace(expect=statuses("404")))
    latency = {"p50": 0.1, "p99": 0.2, "p999": 0.3}
    given = {
        "plan": SimpleNamespace(mix=mix),
        "by_kind": kinds,
        "statuses": sum(kinds, Counter()),
        "failures": {"timeout": 1},
        "failed": 5,
        "seconds": 2.0,
        "requests": 100,
        "latency": lambda: latency,
    }
    return SimpleNamespace(**(given | changes))


def test_cost_is_that_of_the_measured_window(meter):
    meter.look(look("warmup", 0.5, 10))
    meter.look(look("measuring", 1.0, 100))
    meter.look(look("measuring", 2.0, 400))
    meter.look(look("measuring", 3.0, 600))
    meter.look(look("draining", 3.1, 700))
    found = meter.figures(report(), durable_only=False)
    assert found.cpu == 0.5
    assert found.cpu_per_request == pytest.approx(1.0 / 500)
    assert found.rss == 300


def test_the_headline_counts_orders_and_the_rush_counts_answers(meter):
    assert meter.figures(report(), durable_only=True).qps == 45
    assert meter.figures(report(), durable_only=False).qps == 50


def test_failures_are_named(meter):
    found = meter.figures(report(), durable_only=False)
    assert found.failures == {"timeout": 1, "500": 4}
    assert found.failed == 5


def test_a_phase_too_short_to_look_at_has_no_cost(meter):
    assert meter.figures(report(), durable_only=False).cpu == 0
