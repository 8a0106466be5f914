"""LRU against a list, and what LRU and ARC have in common."""

from collections import Counter
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.cache import ARC, LRU, Cache, CacheStatistics, Sharded
from megahertz.clock import Manual
from megahertz.errors import BadSettings

from .models import Recent

KINDS = pytest.mark.parametrize("kind", [LRU, ARC])
KEYS = st.integers(0, 9)
STEPS = st.one_of(
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("set"), KEYS, st.integers(1, 9), st.sampled_from([None, 1, 7, inf])),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 5.0])),
    st.tuples(st.just("expire")),
)


@given(st.integers(1, 8), st.lists(STEPS, max_size=100))
def test_lru_is_a_list_in_the_order_of_use(capacity, steps):
    clock, model = Manual(), Recent(capacity)
    cache = LRU(capacity, ttl=5, jitter=0, weigh=lambda key, value: value, clock=clock)
    for name, *step in steps:
        now = clock.now()
        if name == "get":
            assert cache.get(*step) == model.get(*step, now)
        elif name == "set":
            key, weight, ttl = step
            cache.set(key, weight, ttl=ttl)
            model.set(key, weight, now + (5 if ttl is None else ttl), weight, now)
        elif name == "delete":
            assert cache.delete(*step) == model.delete(*step, now)
        elif name == "wait":
            clock.advance(*step)
        else:
            assert cache.expire() == model.expire(now)
        now, rows = clock.now(), model.rows
        assert cache.items() == [(row[0], row[1]) for row in rows if row[2] > now]
        assert [key in cache for key in range(10)] == [
            any(row[0] == key and row[2] > now for row in rows) for key in range(10)
        ]
        counts = (model.hits, model.misses, model.evictions, model.expirations)
        weight = sum(row[3] for row in rows)
        assert cache.statistics() == CacheStatistics(*counts, len(rows), weight)
        assert weight <= capacity


@KINDS
def test_what_is_not_there_is_the_default(kind):
    cache = kind(2)
    assert cache.get("a") is None
    assert cache.get("a", 7) == 7
    cache.set("a", None)
    assert cache.get("a", 7) is None


@KINDS
def test_to_look_is_not_to_use(kind):
    cache = kind(2, hot=4)
    cache.set("a", 1)
    assert "a" in cache
    assert "b" not in cache
    assert cache.statistics() == CacheStatistics(0, 0, 0, 0, 1, 1)
    assert cache.hot() == []


@KINDS
def test_an_entry_is_over_at_its_end(kind):
    clock = Manual()
    cache = kind(9, ttl=60, jitter=0, clock=clock)
    cache.set("short", 1, ttl=10)
    cache.set("as the cache does", 2)
    cache.set("for ever", 3, ttl=inf)
    clock.advance(9.75)
    assert cache.get("short") == 1
    clock.advance(0.25)
    assert cache.get("short") is None
    clock.advance(50)
    assert cache.items() == [("for ever", 3)]
    assert len(cache) == 2
    assert cache.expire() == 1
    assert cache.expire() == 0
    assert len(cache) == 1
    assert cache.statistics().expirations == 2


@KINDS
def test_to_set_again_begins_anew(kind):
    clock = Manual()
    cache = kind(9, ttl=60, jitter=0, clock=clock)
    cache.set("a", 1)
    clock.advance(59)
    cache.set("a", 2)
    clock.advance(59)
    assert cache.get("a") == 2


@KINDS
def test_what_is_over_goes_as_expired(kind):
    clock = Manual()
    cache = kind(1, ttl=1, clock=clock)
    cache.set("a", 1)
    clock.advance(2)
    cache.set("b", 2)
    cache.set("c", 3)
    found = cache.statistics()
    assert (found.evictions, found.expirations) == (1, 1)


@KINDS
def test_a_stampede_of_100_000_is_spread(kind):
    """All filled at once for 100 s: they end from 95 s to 105 s, about 1,000 each tenth."""
    clock = Manual()
    cache = kind(100_000, ttl=100, clock=clock)
    for key in range(100_000):
        cache.set(key, key)
    clock.advance(94.99)
    assert cache.expire() == 0
    clock.advance(0.01)
    ended = []
    for _ in range(100):
        clock.advance(0.1)
        ended.append(cache.expire())
    assert sum(ended) >= 99_999  # a float may lie a bit above 105 s
    assert max(ended) < 1500  # 16 standard deviations above the mean of 1,000


@KINDS
def test_weights_fill_it(kind):
    cache = kind(10, weigh=lambda key, value: len(value))
    cache.set("a", "aaaa")
    cache.set("b", "bbbb")
    cache.set("c", "cccc")
    assert cache.statistics() == CacheStatistics(0, 0, 1, 0, 2, 8)
    assert "a" not in cache


@KINDS
def test_what_is_heavier_than_the_cache_is_not_kept(kind):
    cache = kind(10, weigh=lambda key, value: value)
    cache.set("a", 5)
    cache.set("b", 5)
    cache.set("a", 11)
    assert cache.items() == [("b", 5)]
    assert cache.statistics() == CacheStatistics(0, 0, 1, 0, 1, 5)
    cache.set("c", 11)
    assert cache.items() == [("b", 5)]


@KINDS
@pytest.mark.parametrize("weight", [0, -1, 1.5, None])
def test_a_weight_is_a_whole_number(kind, weight):
    cache = kind(10, weigh=lambda key, value: weight)
    with pytest.raises(BadSettings, match=r"for 'a': a whole number, at least 1"):
        cache.set("a", 1)
    assert len(cache) == 0


@KINDS
def test_a_weigher_that_raises_changes_nothing(kind):
    cache = kind(10, weigh=lambda key, value: len(value))
    cache.set("a", "1")
    with pytest.raises(TypeError):
        cache.set("a", 1)
    assert cache.items() == [("a", "1")]


@KINDS
@pytest.mark.parametrize("ttl", [0, -1, nan])
def test_a_ttl_is_above_0(kind, ttl):
    with pytest.raises(BadSettings, match="ttl"):
        kind(10, ttl=ttl)
    with pytest.raises(BadSettings, match="ttl"):
        kind(10).set("a", 1, ttl=ttl)


@KINDS
@pytest.mark.parametrize("bad", [{"capacity": 0}, {"jitter": 1}, {"jitter": -0.1}, {"hot": 0}])
def test_a_number_that_cannot_be_is_refused(kind, bad):
    with pytest.raises(BadSettings, match=next(iter(bad)) if "hot" not in bad else "counters"):
        kind(**{"capacity": 10} | bad)


@KINDS
def test_it_counts_what_is_asked_for_found_or_not(kind):
    cache = kind(2, hot=8)
    cache.set("there", 1)
    for key in ["there", "missing", "there", "other", "there", "missing"]:
        cache.get(key)
    assert [(hot.key, hot.count) for hot in cache.hot(2)] == [("there", 3), ("missing", 2)]
    assert kind(2).hot() == []


@KINDS
def test_clear_keeps_the_counts_and_it_works_on(kind):
    cache = kind(2)
    for key in "abc":
        cache.set(key, key)
    cache.get("c")
    cache.clear()
    assert cache.statistics() == CacheStatistics(1, 0, 1, 0, 0, 0)
    cache.set("d", 4)
    assert cache.get("d") == 4
    assert not cache.delete("c")
    assert cache.delete("d")


@KINDS
def test_100_000_keys_stay_within_the_bound(kind):
    cache = kind(100)
    for key in range(100_000):
        cache.set(key, key)
        assert len(cache) <= 100
    assert cache.statistics() == CacheStatistics(0, 0, 99_900, 0, 100, 100)


def test_what_it_says_of_itself():
    assert repr(LRU(10, ttl=60)) == "LRU(10, ttl=60)"


def test_all_kinds_are_caches():
    kinds: list[Cache[str, int]] = [LRU(1), ARC(1), Sharded(lambda: LRU(1), shards=2)]
    names = Counter(name for one in kinds for name in vars(Cache) if hasattr(one, name))
    assert all(names[name] == 3 for name in ("get", "set", "delete", "items", "expire", "hot"))
