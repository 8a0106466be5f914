import pytest

from benchmarks.peer import peers
from benchmarks.promise import Promise, judge, promises
from benchmarks.work import WORKS

from .samples import sample

HELLO = Promise("hello", "megahertz", 0.5, peer="fasthttp")


def test_a_ratio_of_medians_is_judged():
    kept = judge(HELLO, sample("hello", megahertz=10.0, fasthttp=20.0))
    broken = judge(HELLO, sample("hello", megahertz=10.1, fasthttp=20.0))

    assert (kept.value, kept.holds) == (0.5, True)
    assert (round(broken.value, 3), broken.holds) == (0.505, False)


def test_what_was_not_measured_is_not_kept():
    found = sample("hello")
    del found["points"]["64"]["fasthttp"]

    assert judge(HELLO, None).value is None
    assert not judge(HELLO, found).holds


def test_over_several_points_the_median_counts_or_the_worst():
    found = sample("connections")
    for point, us in {"1": 30.0, "16": 10.0, "64": 20.0, "256": 12.0, "1000": 11.0}.items():
        found["points"][point]["megahertz"]["cpu_us"]["median"] = us
        found["points"][point]["fasthttp"]["cpu_us"]["median"] = 10.0
    points = ("16", "64", "256", "1000")

    median = judge(Promise("connections", "megahertz", 1.2, "fasthttp", points=points), found)
    worst = judge(
        Promise("connections", "megahertz", 1.2, "fasthttp", points=points, each=True), found
    )

    assert (median.value, median.holds) == (1.15, True)
    assert (worst.value, worst.holds) == (2.0, False)


def test_without_a_peer_the_figure_itself_is_bounded():
    promise = Promise("idle", "megahertz", 0.001, figure="idle_cpu", points=("10000",))
    found = sample("idle", megahertz=2000.0)

    assert judge(promise, found).value == 0.002
    assert not judge(promise, found).holds


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_every_promise_is_about_something_that_is_measured(promise):
    work = WORKS[promise.work]

    assert {promise.ours, promise.peer or promise.ours} <= set(work.peers) <= set(peers())
    assert set(promise.points) <= {point.name for point in work.points}
    assert judge(promise, sample(promise.work)).value is not None


def test_a_promise_reads_as_a_sentence():
    points = ("16", "64")
    ratio = Promise("connections", "megahertz", 0.85, "fasthttp", points=points)
    share = Promise("idle", "megahertz", 0.001, figure="idle_cpu", points=("10000",))

    assert str(HELLO) == "hello: CPU us of megahertz at most 0.5 x fasthttp"
    assert str(ratio) == (
        "connections at 16, 64 connections, the median: CPU us of megahertz at most 0.85 x fasthttp"
    )
    assert str(share) == ("idle at 10000 connections: CPU, none open of megahertz at most 0.100 %")
    assert str(judge(share, sample("idle", megahertz=2000.0))).startswith("BROKEN      0.200 %")
