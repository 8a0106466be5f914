"""Shards: which key goes where, sums, and threads."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.cache import ARC, LRU, CacheStatistics, Sharded
from megahertz.clock import Manual
from megahertz.errors import BadSettings


@given(st.integers(1, 40), st.lists(st.tuples(st.sampled_from("gsdc"), st.text(max_size=2))))
def test_with_room_for_all_it_is_a_dict(shards, steps):
    cache, model = Sharded(lambda: LRU(1000), shards=shards), {}
    for number, (name, key) in enumerate(steps):
        if name == "g":
            assert cache.get(key, "none") == model.get(key, "none")
        elif name == "s":
            cache.set(key, number)
            model[key] = number
        elif name == "d":
            assert cache.delete(key) == (model.pop(key, None) is not None)
        else:
            assert (key in cache) == (key in model)
        assert len(cache) == len(model)
    assert dict(cache.items()) == model


@pytest.mark.parametrize("shards", [4, 16, 7])
@pytest.mark.parametrize("stride", [1, 16, 1024, 1 << 32, -16])
def test_whole_numbers_at_a_stride_are_spread(shards, stride):
    cache = Sharded(lambda: LRU(10_000), shards=shards)
    for number in range(10_000):
        cache.set(number * stride, number)
    sizes = [len(shard) for _, shard in cache._shards]
    assert max(sizes) < 1.5 * 10_000 / shards


def test_what_is_told_is_of_all_shards():
    clock = Manual()
    cache = Sharded(lambda: LRU(100, ttl=60, jitter=0, hot=8, clock=clock), shards=4)
    for key in range(20):
        cache.set(key, key)
    cache.set("short", 1, ttl=1)
    for key in [3, 3, 3, 4, 4, 5, 99]:
        cache.get(key)
    clock.advance(1)
    assert [(hot.key, hot.count) for hot in cache.hot(2)] == [(3, 3), (4, 2)]
    assert cache.expire() == 1
    assert cache.statistics() == CacheStatistics(6, 1, 0, 1, 20, 20)
    cache.clear()
    assert len(cache) == 0


def test_it_needs_a_shard():
    with pytest.raises(BadSettings, match="shards=0"):
        Sharded(lambda: LRU(1), shards=0)


@pytest.mark.parametrize("kind", [LRU, ARC])
@pytest.mark.parametrize("shards", [1, 4, 16])
def test_threads_find_their_own_values_and_the_counts_add_up(kind, shards):
    """Eight threads on one set of keys: a value is always of its key, nothing is counted twice."""
    cache = Sharded(lambda: kind(20), shards=shards)
    begin = Barrier(8)

    def run(seed):
        begin.wait()
        for number in range(2000):
            key = (number * 7919 + seed * 104_729) % 500
            assert cache.get(key) in (None, key * 3)
            cache.set(key, key * 3)
            if number % 50 == 0:
                cache.delete(key)
                cache.items()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(run, range(8))) == [None] * 8
    found = cache.statistics()
    assert found.hits + found.misses == 16_000
    assert found.size == found.weight == len(cache.items()) <= 20 * shards


def test_a_value_that_goes_may_ask_the_cache():
    """A lock that its own thread cannot take again would stand still here for ever."""
    cache = Sharded(lambda: LRU(1), shards=1)
    seen = []

    class Leaving:
        def __del__(self):
            seen.append(cache.get("b"))

    cache.set("a", Leaving())
    cache.set("b", 2)
    cache.set("c", 3)
    assert seen == [2]
