import json
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from megahertz.engine import Latencies
from megahertz.errors import BadSettings
from megahertz.load import Outcomes, Plan, Template, drive, duration, table, threshold
from megahertz.load.report import MEANING, report

SECONDS = st.floats(min_value=1e-6, max_value=59.9)


def histogram(values):
    latencies = Latencies()
    for value in values:
        latencies.record(value)
    return latencies


def seen(**changes):
    counts = {
        "measured": 2.0,
        "elapsed": 2.5,
        "cpu": 0.5,
        "troubles": [],
        "statuses": [(0, 200, 90), (0, 503, 10)],
        "failures": [(0, "timeout", 3)],
        "latencies": [histogram([0.001] * 100)],
        "answered": 120,
        "connects": 5,
        "received": 1000,
        "sent": 500,
    }
    counts |= changes
    counts.setdefault("successes", [histogram([0.002] * 90) for _ in counts["latencies"]])
    return counts


def made(**changes):
    plan = Plan(url="http://h/", mix=(Template(),))
    return report(plan, seen(**changes), Outcomes(b"", 0), interrupted=False)


@given(st.lists(SECONDS, min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0]))
def test_quantiles_are_those_of_the_sorted_list_to_three_digits(values, q):
    expected = sorted(values)[math.ceil(q * len(values)) - 1]
    assert histogram(values).quantile(q) == pytest.approx(expected, rel=1e-3, abs=128e-9)


@given(st.lists(SECONDS, max_size=50), st.lists(SECONDS, max_size=50))
def test_a_sum_of_histograms_is_the_histogram_of_all(left, right):
    both, total = histogram(left + right), histogram(left)
    total.add(histogram(right))
    assert len(total) == len(both)
    assert [total.quantile(q) for q in (0.5, 0.99)] == [both.quantile(q) for q in (0.5, 0.99)]
    assert total.mean == both.mean
    assert total.max == both.max


@given(st.lists(SECONDS, max_size=50), st.lists(SECONDS, min_size=1, max_size=50))
def test_what_came_since_a_look_is_the_difference(before, after):
    both = histogram(before + after)
    since = both.since(histogram(before))
    assert len(since) == len(after)
    assert since.quantile(0.5) == histogram(after).quantile(0.5)
    with pytest.raises(ValueError, match="not an earlier look"):
        histogram(before).since(both)


def test_no_latency_is_zero():
    empty = Latencies()
    assert (len(empty), empty.quantile(0.99), empty.mean, empty.max) == (0, 0, 0, 0)


def test_the_longest_latency_is_a_minute():
    assert histogram([3600.0]).max == pytest.approx(60, rel=0.2)


def test_rates_are_answers_over_the_window():
    assert made().qps == 50
    assert made(measured=0.0).qps == 0


def test_unexpected_statuses_and_failures_both_count():
    shown = made()
    assert shown.unexpected == 10
    assert shown.failed == 13
    assert not shown.ok
    assert made(statuses=[(0, 204, 1)], failures=[]).ok


def test_nothing_answered_is_not_ok():
    assert not made(statuses=[], failures=[]).ok


def test_json_has_seconds_and_counts():
    data = json.loads(json.dumps(made().as_dict()))
    assert data["statuses"] == {"200": 90, "503": 10}
    assert data["failures"] == {"timeout": 3}
    assert data["latency"]["p99"] == pytest.approx(0.001, rel=1e-3)
    assert data["successes"]["p99"] == pytest.approx(0.002, rel=1e-3)
    assert set(data["latency"]) == {"mean", "p50", "p90", "p99", "p999", "max"}
    assert data["ok"] is False


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 us"), (0.000412, "412 us"), (0.00125, "1.25 ms"), (0.9999, "1 s"), (3.4, "3.4 s")],
)
def test_durations_have_three_digits_and_a_unit(seconds, text):
    assert duration(seconds) == text


def test_the_table_says_what_was_wrong():
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(table(made()))
    text = console.export_text()
    assert "not expected" in text
    assert MEANING["timeout"] in text
    assert "50 /s" in text


def test_kinds_are_summed_over_the_mix():
    plan = Plan(url="http://h/", mix=(Template(), Template()))
    latencies = [histogram([0.001]), histogram([0.002] * 5)]
    counts = seen(statuses=[(0, 200, 1), (1, 200, 2), (1, 404, 3)], latencies=latencies)
    shown = report(plan, counts, Outcomes(b"", 0), interrupted=False)
    assert shown.statuses == Counter({200: 3, 404: 3})
    assert shown.by_kind == (Counter({200: 1}), Counter({200: 2, 404: 3}))


def judged(*expected):
    mix = (Template(name="a", tag="read"), Template(name="b", tag="write"))
    latencies = [histogram([0.001]), histogram([0.001] * 2)]
    counts = seen(statuses=[(0, 200, 9), (1, 500, 1), (1, 200, 1)], latencies=latencies)
    counts["failures"] = [(1, "reset", 1)]
    thresholds = tuple(threshold(text) for text in expected)
    plan = Plan(url="http://h/", mix=mix)
    return report(plan, counts, Outcomes(b"", 0), interrupted=False, thresholds=thresholds).ok


@pytest.mark.parametrize(
    ("expected", "ok"),
    [
        ((), False),
        (("p99<1s",), False),
        (("errors<=20%",), True),
        (("errors<=10%",), False),
        (("a: errors<1%",), False),  # nothing is said of b
        (("b: errors<90%",), True),
        (("write: errors<90%",), True),
        (("write: errors<90%", "b: p99<1us"), False),
    ],
)
def test_errors_are_tolerated_where_a_threshold_speaks_of_them(expected, ok):
    assert judged(*expected) is ok


def test_a_threshold_on_nobody_is_refused():
    with pytest.raises(BadSettings, match="no such request or tag; there are GET"):
        drive(Plan(url="http://127.0.0.1:1/"), thresholds=[threshold("order: p99<1s")])
