import contextlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.engine import Latencies
from megahertz.errors import BadSettings
from megahertz.load import Part, threshold
from megahertz.load.threshold import check


def part(**changes):
    latencies = Latencies()
    for milliseconds in range(1, 101):
        latencies.record(milliseconds / 1e3)
    figures = {"statuses": Counter({200: 98, 500: 1}), "unexpected": 1}
    figures |= {"failures": Counter({"reset": 1}), "latencies": latencies}
    return Part("x", 2.0, **(figures | changes))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("p99<100ms", True),
        ("p99<99ms", False),
        ("p50<=50.1ms", True),
        ("p99.9<0.1s", False),
        ("p999<0.2s", True),
        ("max<90000us", False),
        ("mean<51ms", True),
        ("errors<2%", False),
        ("errors<=2%", True),
        ("errors<0.03", True),
        ("rate>40/s", True),
        ("rate>=50", False),
    ],
)
def test_a_threshold_holds_or_not(text, holds):
    assert check(threshold(text), part()).holds is holds


def test_nothing_measured_keeps_no_latency():
    checked = check(threshold("p99<1s"), Part("x", 0.0))
    assert (checked.value, checked.holds) == (None, False)
    assert check(threshold("errors<1%"), Part("x", 0.0)).holds
    assert not check(threshold("rate>1"), Part("x", 0.0)).holds


@pytest.mark.parametrize(
    "text",
    ["", "p99", "p99<", "p99<5", "p99<5%", "errors<5ms", "q99<1s", "p100<1s", "1<2"],
)
def test_what_is_no_threshold_is_refused_with_what_is(text):
    with pytest.raises(BadSettings, match=r"allowed: |below 100"):
        threshold(text)


def test_a_name_before_it_is_that_of_a_request_or_tag():
    found = threshold("GET /items: p99<5ms")
    assert (found.of, found.metric, found.limit) == ("GET /items", "p99", 0.005)


@given(st.text(max_size=30))
def test_any_text_is_a_threshold_or_refused(text):
    with contextlib.suppress(BadSettings):
        assert threshold(text).text == text


@given(
    st.sampled_from(["p50", "p99", "p99.9", "mean", "max"]),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.integers(1, 10_000),
    st.sampled_from([("us", 1e-6), ("ms", 1e-3), ("s", 1.0)]),
)
def test_what_is_written_is_what_is_read(metric, sign, number, unit):
    found = threshold(f"{metric} {sign} {number}{unit[0]}")
    assert (found.metric, found.below, found.strict) == (metric, sign[0] == "<", len(sign) == 1)
    assert found.limit == pytest.approx(number * unit[1])
