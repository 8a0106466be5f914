import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.clock import Manual
from megahertz.context import deadline
from megahertz.engine import Plane
from megahertz.errors import BadSettings, Misused, RateLimited
from megahertz.govern import (
    GCRA,
    LeakyBucket,
    LimitStatistics,
    RedisScope,
    SlidingWindow,
    TokenBucket,
)
from tests.virtual import virtual

LAWS = [GCRA, TokenBucket, LeakyBucket, SlidingWindow]

rates = st.integers(1, 1000)
bursts = st.integers(1, 50)
gaps = st.lists(st.floats(0, 2, allow_subnormal=False), min_size=1, max_size=60)


class Jumping:
    """A clock that may step back, as a wall clock does."""

    def __init__(self):
        self.time = 1_000_000.0

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
def test_a_clock_that_steps_never_shuts_out_for_long(rate, burst, steps):
    """The engine takes up to a second back for the look at the clock of a worker that was slow."""
    clock = Jumping()
    limit = GCRA(rate, burst=burst, clock=clock)
    for step in steps:
        clock.time += step

        assert limit.try_acquire() <= 1 / rate * (1 + 1e-6) + 1 + 1e-6


@given(rates, bursts, st.floats(0.001, 100))
def test_a_clock_that_steps_back_admits_nothing_extra(rate, burst, back):
    clock = Jumping()
    limit = GCRA(rate, burst=burst, clock=clock)
    while not limit.try_acquire():
        pass

    clock.time -= back

    assert limit.try_acquire() > 0


def test_each_key_has_a_rate_of_its_own():
    limit = GCRA(1, key="client", clock=Manual(5))

    assert [limit.try_acquire(key) == 0 for key in "aabab"] == [True, False, True, False, False]
    assert limit.statistics() == LimitStatistics(2, 3, 2, 0)


def test_keys_above_the_most_are_forgotten_and_counted():
    limit = GCRA(1, per=3600, key="client", keys=8, clock=Manual())
    admitted = sum(limit.try_acquire(str(number)) == 0 for number in range(1000))

    assert admitted == 1000, "each is new, and another one pays for it"
    assert limit.statistics().forgotten >= 1000 - 16
    assert limit.statistics().keys <= 16


@pytest.mark.parametrize("law", LAWS)
def test_the_same_name_in_the_same_plane_is_the_same_limit(law):
    plane, other = Plane(), Plane()
    limits = [law(2, per=3600, name="shop") for _ in range(3)]
    for limit, where in zip(limits, (plane, plane, other), strict=True):
        limit.join(where)
    for limit in limits[:2] * 3:
        limit.try_acquire()

    assert limits[0].statistics() == limits[1].statistics()
    assert limits[0].statistics().refused > 0
    assert limits[2].try_acquire() == 0


def test_a_workers_limit_joins_no_plane():
    limits = [GCRA(1, per=3600, scope="worker") for _ in range(2)]
    plane = Plane()
    for limit in limits:
        limit.join(plane)
    assert [limit.try_acquire() == 0 for limit in limits] == [True, True]


def test_limits_of_the_same_numbers_have_names_of_their_own():
    one, other = GCRA(3, per=77), GCRA(3, per=77)
    assert one.name != other.name
    assert GCRA(3, name="mine").name == "mine"


@virtual
async def test_turns_of_a_leaky_bucket_are_waited_for():
    bucket, left = LeakyBucket(10, burst=3, clock=Manual(5)), []
    began = asyncio.get_running_loop().time()

    async def call():
        await bucket.acquire()
        left.append(asyncio.get_running_loop().time() - began)

    done = await asyncio.gather(*[call() for _ in range(6)], return_exceptions=True)

    assert left == pytest.approx([0, 0.1, 0.2, 0.3])
    assert [type(each) for each in done] == [type(None)] * 4 + [RateLimited] * 2


@virtual
async def test_a_turn_after_the_deadline_is_not_waited_for():
    bucket = LeakyBucket(1, burst=5, clock=Manual(5))
    await bucket.acquire()
    with deadline(0.5), pytest.raises(RateLimited, match="too late"):
        await bucket.acquire()


@virtual
async def test_as_a_guard():
    limit = GCRA(1, per=3600, fallback="later")

    @limit
    async def work() -> str:
        return "done"

    assert [await work(), await work()] == ["done", "later"]
    block = GCRA(1, per=60, clock=Manual(5))
    async with block:
        pass
    with pytest.raises(RateLimited) as told:
        async with block:
            pytest.fail("over the rate")
    assert told.value.retry_after == pytest.approx(60)


@virtual
async def test_the_key_of_a_call_is_a_function_of_its_arguments():
    @GCRA(1, per=3600, key=lambda user, **_: user, fallback="later")
    async def greet(user: str, *, loud: bool = False) -> str:
        return f"hello {user}"

    assert [await greet("ann"), await greet("ann", loud=True)] == ["hello ann", "later"]
    assert await greet("bob") == "hello bob"


@virtual
async def test_one_key_as_a_guard():
    limit = GCRA(1, per=3600, key="client")
    async with limit.of("ann"):
        pass
    with pytest.raises(RateLimited):
        async with limit.of("ann"):
            pytest.fail("over the rate")
    async with limit.of("bob"):
        pass


@virtual
async def test_keys_that_nobody_can_know_are_refused():
    async def work() -> None: ...

    with pytest.raises(Misused, match="give a function"):
        await GCRA(1, key="client").run(work)
    with pytest.raises(Misused, match="of"):
        async with GCRA(1, key="client"):
            pytest.fail("whose?")
    with pytest.raises(Misused, match="key="):
        GCRA(1).of("ann")
    with pytest.raises(Misused, match="key="):
        GCRA(1).try_acquire("ann")


@pytest.mark.parametrize("law", LAWS)
def test_a_call_may_cost_more_than_one_and_never_what_cannot_fit(law):
    numbers = {} if law is SlidingWindow else {"burst": 5}
    limit = law(5, 3600, clock=Manual(5), **numbers)
    assert limit.try_acquire(cost=4) == 0
    assert limit.try_acquire(cost=5) != 0
    plain = law(5, 3600, **numbers)
    for each in (limit, plain, plain):
        with pytest.raises(Misused, match="1 to 5"):
            each.try_acquire(cost=6)
        with pytest.raises(Misused, match="1 to 5"):
            each.try_acquire(cost=0)
        each.try_acquire()


def test_before_the_first_call_nothing_is_counted():
    assert GCRA(1).statistics() == LimitStatistics(0, 0, 0, 0)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    "arguments",
    [
        {"rate": 0},
        {"rate": 1, "per": 0},
        {"rate": 1, "burst": 0},
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"rate": 1, "keys": 0},
        {"rate": 1, "key": "user"},
        {"rate": 1, "key": "header:"},
        {"rate": 1, "scope": "world"},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(law, arguments):
    with pytest.raises(BadSettings, match=law.__name__):
        law(**arguments)


@pytest.mark.parametrize("arguments", [{"rate": 1.5}, {"rate": 5e6}, {"rate": 5, "burst": 2}])
def test_what_a_window_cannot_count_is_refused(arguments):
    with pytest.raises(BadSettings):
        SlidingWindow(**arguments)


def test_it_tells_what_it_is():
    def user(request):
        return "ann"

    assert repr(GCRA(5, per=2, burst=3, key="client", scope="worker")) == (
        "GCRA(5, per=2, burst=3, key='client', scope='worker')"
    )
    told = repr(SlidingWindow(5, key=user, scope=RedisScope("redis://nowhere")))
    assert told.endswith("user, scope=RedisScope(instances=1))")
