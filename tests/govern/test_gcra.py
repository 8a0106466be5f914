import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.clock import Manual
from megahertz.errors import BadSettings
from megahertz.govern import GCRA, gcra

rates = st.integers(1, 1000)
bursts = st.integers(1, 50)
gaps = st.lists(st.floats(0, 2, allow_subnormal=False), min_size=1, max_size=60)


class Jumping:
    """A clock that may step back, as a wall clock does."""

    def __init__(self):
        self.time = 1000.0

    def now(self):
        return self.time


@given(rates, bursts, gaps)
def test_no_window_admits_more_than_burst_and_rate(rate, burst, gaps):
    clock = Manual()
    limit = GCRA(rate, burst=burst, clock=clock)
    admitted = []
    for gap in gaps:
        clock.advance(gap / rate)
        admitted += [clock.now() for _ in range(3) if not limit.try_acquire()]

    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            most = burst + rate * (admitted[last] - start)
            assert last - first + 1 <= most + 1e-6


@given(rates, bursts)
def test_after_a_rest_exactly_the_burst_is_admitted(rate, burst):
    clock = Manual()
    limit = GCRA(rate, burst=burst, clock=clock)
    for _ in range(2):
        clock.advance(burst / rate + 1)

        assert [limit.try_acquire() == 0 for _ in range(burst + 1)] == [True] * burst + [False]


@given(rates, bursts)
def test_who_waits_as_told_is_admitted(rate, burst):
    clock = Manual()
    limit = GCRA(rate, burst=burst, clock=clock)
    while not (wait := limit.try_acquire()):
        pass

    clock.advance(wait + 3e-9)

    assert wait <= 1 / rate + 1e-9
    assert limit.try_acquire() == 0


@given(rates, bursts, st.lists(st.floats(-100, 100), max_size=30))
def test_a_clock_that_steps_never_shuts_out_for_longer_than_the_burst(rate, burst, steps):
    clock = Jumping()
    limit = GCRA(rate, burst=burst, clock=clock)
    for step in steps:
        clock.time += step

        assert limit.try_acquire() <= 1 / rate * (1 + 1e-6) + 1e-6


@given(rates, bursts, st.floats(0.001, 100))
def test_a_clock_that_steps_back_admits_nothing_extra(rate, burst, back):
    clock = Jumping()
    limit = GCRA(rate, burst=burst, clock=clock)
    while not limit.try_acquire():
        pass

    clock.time -= back

    assert limit.try_acquire() > 0


def test_each_key_has_a_rate_of_its_own():
    limit = GCRA(1, key="client", clock=Manual())

    assert [limit.try_acquire(key) == 0 for key in "aabab"] == [True, False, True, False, False]
    assert limit.statistics() == gcra.LimitStatistics(2, 3, 2, 0)


def test_the_key_seen_longest_ago_is_forgotten(monkeypatch):
    monkeypatch.setattr(gcra, "KEYS", 2)
    limit = GCRA(1, key="client", clock=Manual())
    for key in ("a", "b", "a", "c"):
        limit.try_acquire(key)

    assert limit.statistics().forgotten == 1
    assert limit.try_acquire("a") > 0, "it was seen after b"
    assert limit.try_acquire("b") == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"rate": 0},
        {"rate": 1, "per": 0},
        {"rate": 1, "burst": 0},
        {"rate": float("nan")},
        {"rate": 1, "key": "user"},
        {"rate": 1, "key": "header:"},
        {"rate": 1, "scope": "world"},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(arguments):
    with pytest.raises(BadSettings):
        GCRA(**arguments)
