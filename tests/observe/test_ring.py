"""What is dropped when records come faster than they are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.observe.ring import LEVELS, Ring


class Model:
    """The same, slowly: one list, in the order of coming."""

    def __init__(self, capacity):
        self.capacity, self.waiting, self.dropped = capacity, [], [0] * 4

    def put(self, level, record):
        if len(self.waiting) >= self.capacity:
            lowest = min(known for known, _ in self.waiting)
            self.dropped[min(lowest, level)] += 1
            if lowest >= level:
                return
            at = next(at for at, (known, _) in enumerate(self.waiting) if known == lowest)
            del self.waiting[at]
        self.waiting.append((level, record))


@given(st.integers(1, 6), st.lists(st.integers(-3, 3), max_size=60))
def test_it_is_as_its_model(capacity, steps):
    """A step below 0 takes so many records, any other is a record of that level."""
    ring, model = Ring(capacity), Model(capacity)

    for number, step in enumerate(steps):
        if step < 0:
            taken, model.waiting[:-step] = model.waiting[:-step], []
            assert ring.take(-step) == [record for _, record in taken]
        else:
            ring.put(step, number)
            model.put(step, number)

    found = ring.statistics()
    assert found.waiting == len(model.waiting)
    assert list(found.dropped.values()) == model.dropped
    assert found.put == {level: steps.count(index) for index, level in enumerate(LEVELS)}


def test_at_ten_times_its_capacity_every_drop_is_counted_and_no_error_is_lost():
    ring = Ring(65_536)

    for number in range(655_360):
        ring.put(3 if number % 100 == 0 else number % 3, number)

    found = ring.statistics()
    assert sum(found.dropped.values()) == 655_360 - 65_536
    assert found.dropped["error"] == 0
    assert {number for number in ring.take(65_536) if number % 100 == 0} == {
        *range(0, 655_360, 100)
    }


def test_only_where_nothing_but_errors_is_left_are_errors_dropped():
    ring = Ring(2)
    for number in range(3):
        ring.put(3, number)

    assert ring.take(9) == [0, 1]
    assert ring.statistics().dropped["error"] == 1


@pytest.mark.parametrize(("before", "expected"), [(0, True), (1, False)])
def test_it_says_when_somebody_has_to_wake_up(before, expected):
    ring = Ring(2)
    for _ in range(before):
        ring.put(1, "x")

    assert ring.put(0, "y") is expected
