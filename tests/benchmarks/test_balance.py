"""The table and the picture of balancers, from figures that are given."""

from benchmarks.balance import BALANCERS, picture, table
from benchmarks.result import about, spreads


def found():
    figures = {
        "p50": [0.005],
        "p90": [0.006],
        "p99": [0.02],
        "p99.9": [0.05],
        "fast": [0.5],
        "slow": [0.1],
        "flapping": [0.4],
        "failed": [0.0],
    }
    balancers = {name: spreads(figures) for name in BALANCERS}
    return about("balance") | {"rounds": 1, "seconds": 1.0, "balancers": balancers}


def test_a_row_a_balancer():
    lines = table(found())

    for name in BALANCERS:
        assert f"| {name} | 5.0 ms | 20.0 ms | 50.0 ms | 10.0% | 40.0% | 0 |" in lines


def test_a_bar_a_balancer_and_figure():
    assert picture(found()).count("<rect") >= 2 * len(BALANCERS)
