"""ARC against the pseudo code of its paper, and its bounds where the paper has no word."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from megahertz.cache import ARC, LRU
from megahertz.clock import Manual

from .models import Figure4


def request(cache, key):
    """As whoever uses a cache does it; whether it was a hit."""
    if cache.get(key) is not None:
        return True
    cache.set(key, f"value of {key}")
    return False


def lists(cache):
    return [list(part.keys) for part in (cache._t1, cache._b1, cache._t2, cache._b2)]


def bounds(cache):
    """What holds of the weights of the lists."""
    t1, b1, t2, b2 = (part.weight for part in (cache._t1, cache._b1, cache._t2, cache._b2))
    assert t1 + t2 <= cache.capacity
    assert t1 + b1 <= cache.capacity
    assert t1 + b1 + t2 + b2 <= 2 * cache.capacity
    assert 0 <= cache.recent <= cache.capacity
    for part in (cache._t1, cache._b1, cache._t2, cache._b2):
        assert part.weight == sum(part.keys.values())
    assert set(cache._entries) == {*cache._t1.keys, *cache._t2.keys}


@st.composite
def requests(draw):
    """Phases: of few keys, of many, loops and scans, which is what moves p."""
    keys = []
    for _ in range(draw(st.integers(1, 6))):
        first, width = draw(st.integers(0, 20)), draw(st.integers(1, 24))
        if draw(st.booleans()):
            keys += [first + number % width for number in range(draw(st.integers(1, 60)))]
        else:
            keys += draw(st.lists(st.integers(first, first + width), max_size=60))
    return keys


@given(st.integers(1, 12), requests())
@settings(max_examples=300)
def test_each_request_does_what_figure_4_does(capacity, keys):
    cache, model = ARC(capacity), Figure4(capacity)
    for key in keys:
        assert request(cache, key) == model.request(key)
        assert lists(cache) == [model.T1, model.B1, model.T2, model.B2]
        assert cache.recent == model.p
        bounds(cache)


@pytest.mark.parametrize("capacity", [9, 32])
def test_long_traces_do_too_and_take_every_path(capacity):
    """Hypothesis seldom finds a ghost of B2 while B1 is the longer, so that p falls by more."""
    random = Random(capacity)
    cache, model, steps = ARC(capacity), Figure4(capacity), set()
    for number in range(12_000):
        width = capacity * (1, 2, 4)[number // 100 % 3]
        key = min(random.randrange(width), random.randrange(width)) + number // 400 % 3
        before = model.p
        assert request(cache, key) == model.request(key)
        assert lists(cache) == [model.T1, model.B1, model.T2, model.B2]
        assert cache.recent == model.p
        steps.add(model.p - before)
    assert {-1, 0, 1} <= steps
    assert min(steps) < -1
    assert max(steps) > 1


def test_p_moves_by_the_weight_of_the_ghost():
    cache = ARC(10, weigh=lambda key, value: value)
    cache.set("kept", 4)
    cache.get("kept")
    cache.set("gone", 3)
    cache.set("new", 5)
    assert lists(cache) == [["new"], ["gone"], ["kept"], []]
    cache.set("gone", 3)
    assert cache.recent == 3


def test_what_grows_finds_room_in_t1_where_there_is_no_other():
    """REPLACE takes from T2 where T1 has no more than p; in the paper T2 is never empty then."""
    cache = ARC(4, weigh=lambda key, value: value)
    for key, weight in [("c", 1), ("c", 3), ("a", 1), ("d", 2)]:
        cache.set(key, weight)
    assert lists(cache) == [["d"], ["a"], [], ["c"]]
    cache.set("a", 3)
    assert cache.recent == 3
    assert lists(cache) == [[], ["d"], ["a"], ["c"]]
    bounds(cache)


class Weighted(RuleBasedStateMachine):
    """Weights, ends and deletions, of which the paper has none."""

    @initialize(capacity=st.integers(1, 20))
    def begin(self, capacity):
        self.clock, self.weights = Manual(), {}
        weigh = lambda key, value: value  # noqa: E731
        self.cache = ARC(capacity, ttl=10, weigh=weigh, clock=self.clock)

    @rule(key=st.integers(0, 15), weight=st.integers(1, 22))
    def set(self, key, weight):
        self.cache.set(key, weight)
        self.weights[key] = weight
        assert (key in self.cache) == (weight <= self.cache.capacity)

    @rule(key=st.integers(0, 15))
    def get(self, key):
        assert self.cache.get(key) in (None, self.weights.get(key))

    @rule(key=st.integers(0, 15))
    def delete(self, key):
        assert self.cache.delete(key) in (True, False)
        assert key not in self.cache

    @rule(seconds=st.sampled_from([1, 5, 9, 11]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def expire(self):
        self.cache.expire()
        assert len(self.cache) == len(self.cache.items())

    @rule()
    def clear(self):
        self.cache.clear()
        assert lists(self.cache) == [[], [], [], []]

    @invariant()
    def holds(self):
        bounds(self.cache)
        statistics = self.cache.statistics()
        assert statistics.size == len(self.cache)
        assert statistics.weight == self.cache._t1.weight + self.cache._t2.weight


TestWeighted = Weighted.TestCase


def test_a_scan_leaves_what_comes_back():
    caches = ARC(100), LRU(100)
    for cache in caches:
        for _ in range(2):
            for key in range(50):
                request(cache, key)
        for key in range(1000, 2000):
            request(cache, key)
    kept = [sum(key in cache for key in range(50)) for cache in caches]
    assert kept == [50, 0]


def test_what_is_deleted_or_over_is_no_ghost():
    clock = Manual()
    cache = ARC(2, ttl=10, jitter=0, clock=clock)
    for key in "ab":
        cache.set(key, key)
    cache.delete("a")
    clock.advance(10)
    assert cache.get("b") is None
    assert lists(cache) == [[], [], [], []]


def test_the_next_to_go_is_the_first_of_its_list():
    cache = ARC(3)
    for key in "abc":
        cache.set(key, key.upper())
    cache.get("a")
    assert cache.items() == [("b", "B"), ("c", "C"), ("a", "A")]
