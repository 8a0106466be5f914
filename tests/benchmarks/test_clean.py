"""What counts as clean; the run itself takes ten minutes (`python -m benchmarks.clean`)."""

import pytest

from benchmarks.clean import TROUBLE, counted, is_clean, table
from megahertz.observe.families import NAMED

CLEAN = {"told": [], "troubles": {}, "failed": [], "loads": [0, 0]}


def test_a_metric_is_summed_over_its_labels():
    text = '# TYPE a_total counter\na_total{x="1"} 2\na_total{x="2"} 3\na_totals 9\nb 4\n'
    assert (counted(text, "a_total"), counted(text, "b"), counted(text, "c")) == (5, 4, 0)


@pytest.mark.parametrize(
    "trouble",
    [
        {"told": ["Leak(...)"]},
        {"troubles": {"blocked": 1.0}},
        {"failed": ["..."]},
        {"loads": [0, 1]},
    ],
)
def test_anything_that_is_told_is_not_clean(trouble):
    assert is_clean(CLEAN)
    assert not is_clean(CLEAN | trouble)


def test_what_is_looked_at_is_there():
    assert {f"{name}_total" for name in TROUBLE} <= NAMED.keys()


def test_what_was_told_is_shown():
    machine = {"cpu": "x", "cores": 2, "kernel": "6"}
    noted = CLEAN | {"requests": 10, "lag": 0.001, "gc": 0.002, "memory": 1e6, "told": ["a leak"]}
    found = {"when": "2026-11-21T00:00:00", "commit": "c", "machine": machine, "seconds": 600}
    lines = table(found | {"noted": noted})
    assert "- told: a leak" in lines
    assert "| requests | 10 |" in lines
