from itertools import islice

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import hits
from benchmarks.hits import BOUND, KINDS, TRACES, most, table
from megahertz.cache import ARC, LRU


def fewest_misses(keys, capacity):
    """Of all ways to choose who goes, by trying them all (and of not keeping at all)."""
    states = {frozenset(): 0}
    for key in keys:
        after = {}
        for kept, misses in states.items():
            if key in kept:
                choices, cost = [kept], misses
            else:
                more = kept | {key}
                choices = [more] if len(more) <= capacity else [more - {one} for one in more]
                cost = misses + 1
            for choice in choices:
                after[choice] = min(cost, after.get(choice, cost))
        states = after
    return min(states.values())


@given(st.lists(st.integers(0, 5), max_size=14), st.integers(1, 3))
def test_the_bound_is_the_best_of_all_choices(keys, capacity):
    assert most(keys, capacity) == len(keys) - fewest_misses(keys, capacity)


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(1, 10))
def test_no_cache_is_above_the_bound(keys, capacity):
    bound = most(keys, capacity)
    assert hits.hits(LRU(capacity), keys) <= bound
    assert hits.hits(ARC(capacity), keys) <= bound


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_is_the_same_each_time(name):
    keys = list(islice(TRACES[name](), 40_000))
    assert keys == list(islice(TRACES[name](), 40_000))
    assert len(keys) == 40_000


def test_zipf_is_zipf():
    """Of 20,000 keys with skew 1 the first has 1 / H(20,000), 9.5 % of the requests."""
    keys = list(hits.zipf(1.0, count=50_000))
    assert keys.count(0) / len(keys) == pytest.approx(0.0954, abs=0.01)
    assert keys.count(0) / keys.count(1) == pytest.approx(2, rel=0.15)
    assert max(keys) < hits.KEYS


def test_a_wrong_value_is_told():
    cache = LRU(2)
    cache.set(1, 2)
    with pytest.raises(ValueError, match="1 was answered with 2"):
        hits.hits(cache, [1])


def test_a_run_is_a_table(monkeypatch, tmp_path):
    monkeypatch.setattr(hits, "REQUESTS", 2_000)
    monkeypatch.setattr(hits, "about", lambda work: {"work": work})
    monkeypatch.setattr(hits, "said", lambda found: "somewhere")
    saved = []
    monkeypatch.setattr(hits, "save", saved.append)

    ran = CliRunner().invoke(hits.main, ["--save"])
    assert ran.exit_code == 0
    assert [found["work"] for found in saved] == ["hits"]
    rows = saved[0]["rows"]
    assert list(rows) == [*KINDS, BOUND]
    for name in TRACES:
        assert all(0 <= rows[kind][name] <= rows[BOUND][name] for kind in KINDS)
    lines = table(saved[0])
    assert "\n".join(lines) in ran.output
    assert len([line for line in lines if line.startswith("| ")]) == 1 + len(rows)
