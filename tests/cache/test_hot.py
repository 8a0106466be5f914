"""What Space-Saving promises (Metwally et al., ICDT 2005, lemmas 3 to 5 and theorem 2)."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.cache import Hot, HotKey
from megahertz.errors import BadSettings


@given(st.integers(1, 8), st.lists(st.integers(0, 20), max_size=300))
def test_counts_are_bounds(counters, keys):
    hot, exact = Hot(counters), Counter(keys)
    for key in keys:
        hot.add(key)
    top = hot.top()

    assert len(top) == min(counters, len(exact))
    assert sum(found.count for found in top) == len(keys)
    for found in top:
        assert found.count - found.error <= exact[found.key] <= found.count
        assert found.error <= len(keys) / counters
    kept = {found.key for found in top}
    assert {key for key, count in exact.items() if count > len(keys) / counters} <= kept
    assert [found.count for found in top] == sorted((one.count for one in top), reverse=True)


def test_with_a_counter_for_each_the_counts_are_exact():
    hot = Hot(3)
    for key in "abacab":
        hot.add(key)
    assert hot.top(2) == [HotKey("a", 3, 0), HotKey("b", 2, 0)]


def test_clear_begins_again():
    hot = Hot(1)
    for key in "aab":
        hot.add(key)
    assert hot.top() == [HotKey("b", 3, 2)]
    hot.clear()
    hot.add("c")
    assert hot.top() == [HotKey("c", 1, 0)]


def test_it_needs_a_counter():
    with pytest.raises(BadSettings, match="counters=0"):
        Hot(0)
