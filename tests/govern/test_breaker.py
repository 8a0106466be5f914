"""The breaker against a model, and what goes wrong with breakers elsewhere."""

import asyncio
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from megahertz.clock import Manual
from megahertz.context import deadline
from megahertz.engine import BreakerCell, Plane
from megahertz.errors import (
    BadSettings,
    BreakerOpen,
    ConnectError,
    DeadlineExceeded,
    HTTPError,
    RateLimited,
)
from megahertz.govern import AdaptiveBreaker, Breaker, Stale
from tests.virtual import virtual

SECOND = 1_000_000_000
CLOSED, PROBE, REFUSED = range(3)


class Model:
    """Closed, open until a moment, one probe; counts of the last ten tenths of the window."""

    def __init__(self, failures, calls, open, window):
        self.failures, self.least = failures, calls
        self.open, self.bucket = open, window // 10
        self.until, self.changed, self.calls = None, 0, []

    def enter(self, now):
        if self.until is None:
            return CLOSED
        if now < self.until:
            return REFUSED
        self.until = now + self.open
        return PROBE

    def leave(self, how, ok, began, now):
        if how == PROBE:
            self.changed = now
            self.until = None if ok else now + self.open
            self.calls = [] if ok else self.calls
        elif began >= self.changed:
            self.calls.append((now // self.bucket, ok))
            if not ok and self.until is None and self.trips(now):
                self.until, self.changed = now + self.open, now

    def counts(self, now):
        recent = [ok for number, ok in self.calls if now // self.bucket - number < 10]
        return len(recent), recent.count(False)

    def trips(self, now):
        calls, failed = self.counts(now)
        if self.failures > 1:
            return failed >= self.failures
        return calls >= self.least and failed >= self.failures * calls

    def abandon(self, how, now):
        if how == PROBE and self.until is not None and self.until > now:
            self.until = now


class Calls(RuleBasedStateMachine):
    """Calls that begin and end in any order, and time that goes on."""

    @initialize(failures=st.sampled_from([0.1, 0.5, 0.6, 1.0, 3, 10]), calls=st.integers(1, 10))
    def begin(self, failures, calls):
        numbers = {"failures": failures, "calls": calls}
        self.cell = BreakerCell(Plane(), "bank", open=2, window=10, **numbers)
        self.model = Model(open=2 * SECOND, window=10 * SECOND, **numbers)
        self.now, self.running = 100 * SECOND, []

    @rule(calls=st.integers(1, 5))
    def enter(self, calls):
        for _ in range(calls):
            how = self.cell.enter(self.now)
            assert how == self.model.enter(self.now)
            if how != REFUSED:
                self.running.append((how, self.now))

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 50), ok=st.sampled_from([True, False, False, None]))
    def end(self, which, ok):
        how, began = self.running.pop(which % len(self.running))
        if ok is None:
            self.cell.abandon(how, now=self.now)
            self.model.abandon(how, self.now)
        else:
            self.cell.leave(how, ok, began=began, now=self.now)
            self.model.leave(how, ok, began, self.now)
        assert self.cell.state(self.now)[2:4] == self.model.counts(self.now)

    @rule(tenths=st.sampled_from([1, 3, 10, 19, 20, 21, 50, 150]))
    def wait(self, tenths):
        self.now += tenths * SECOND // 10


TestCalls = Calls.TestCase


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3 * SECOND)), max_size=200),
    st.sampled_from([None, 1.5, 2.0]),
)
def test_what_it_refuses_itself_counts_nowhere(calls, k):
    cell = BreakerCell(Plane(), "bank", failures=0.5, calls=5, open=2, k=k)
    now, made = SECOND, 0
    for ok, gap in calls:
        now += gap
        before = cell.state(now)
        how = cell.enter(now)
        if how == REFUSED:
            after = cell.state(now)
            assert after[2:5] == before[2:5]
            assert after[5] == before[5] + 1
        else:
            cell.leave(how, ok, began=now, now=now)
            made += 1
    _, _, seen, failed, _, refused = cell.state(now)
    assert failed <= seen <= made
    assert refused == len(calls) - made


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3 * SECOND)), max_size=200),
    st.integers(1_000_000, SECOND // 2),
)
def test_once_all_is_well_it_closes_after_open_and_a_probe(history, gap):
    """Whatever came before: go-zero's stayed open for 15 minutes (issue 4101)."""
    cell, now = BreakerCell(Plane(), "bank", failures=0.5, calls=5, open=2), SECOND
    for ok, pause in history:
        now += pause
        if (how := cell.enter(now)) != REFUSED:
            cell.leave(how, ok, began=now, now=now)
    recovered = now
    while (how := cell.enter(now)) != CLOSED:
        if how == PROBE:
            cell.leave(how, True, began=now, now=now)
        now += gap
    assert now - recovered <= 2 * SECOND + 2 * gap


@given(st.floats(1.1, 4), st.integers(1, 50), st.data())
def test_the_adaptive_share_is_the_books(k, least, data):
    cell, now = BreakerCell(Plane(), "bank", calls=least, open=1e6, k=k), 5 * SECOND
    outcomes = data.draw(st.lists(st.booleans(), max_size=100))
    for ok in outcomes:
        cell.leave(CLOSED, ok, began=now, now=now)
    cell.enter(now)

    calls, accepts = len(outcomes), outcomes.count(True)
    expected = max(0.0, (calls - k * accepts) / (calls + 1)) if calls >= least else 0.0
    assert cell.state(now)[1] == pytest.approx(expected)


def rounds(cell, now, calls, ok, gap=10_000_000):
    """Calls one after the other; how many of them went through, and when they were over."""
    went = 0
    for _ in range(calls):
        now += gap
        if (how := cell.enter(now)) != REFUSED:
            cell.leave(how, ok(), began=now, now=now)
            went += 1
    return went, now


def test_the_adaptive_one_lets_through_what_the_backend_can_do():
    """A backend that answers every third call: about k times what succeeds goes through."""
    cell = BreakerCell(Plane(), "bank", calls=10, open=1, k=2.0)
    turns = count()
    went, _ = rounds(cell, SECOND, 10_000, lambda: next(turns) % 3 == 0)
    assert 0.2 * 10_000 < went < 10_000


def test_the_adaptive_one_forces_a_probe_and_comes_back():
    cell = BreakerCell(Plane(), "bank", calls=10, open=1, k=2.0)
    went, now = rounds(cell, SECOND, 6_000, lambda: False)  # a minute
    assert 30 <= went <= 700, "a probe a second, and the share that the formula leaves"

    _, now = rounds(cell, now, 1_500, lambda: True)  # 15 s
    went, _ = rounds(cell, now, 1_000, lambda: True)
    assert went == 1_000


def breaker(**settings):
    return Breaker(**{"failures": 0.5, "calls": 4, "open": 2, "clock": Manual(100)} | settings)


async def fails(error=None):
    raise error or ConnectError("away")


async def works():
    return "well"


async def trip(guard, calls=4):
    for _ in range(calls):
        with pytest.raises(ConnectError):
            await guard.run(fails)


@virtual
async def test_it_opens_probes_and_closes():
    clock = Manual(100)
    guard = breaker(clock=clock)
    await trip(guard)
    with pytest.raises(BreakerOpen) as told:
        await guard.run(works)
    assert told.value.retry_after == pytest.approx(2)
    assert guard.statistics().state == "open"

    clock.advance(2)
    assert guard.statistics().state == "probing"
    assert await guard.run(works) == "well"
    found = guard.statistics()
    assert (found.state, found.calls, found.opened, found.refused) == ("closed", 0, 1, 1)


@virtual
async def test_only_one_probe_goes_and_its_failure_opens_again():
    clock = Manual(100)
    guard = breaker(clock=clock)
    await trip(guard)
    clock.advance(2)
    gate = asyncio.Event()

    async def slow():
        await gate.wait()
        raise ConnectError("still away")

    probe = asyncio.create_task(guard.run(slow))
    await asyncio.sleep(0)
    with pytest.raises(BreakerOpen):
        await guard.run(works)
    gate.set()
    with pytest.raises(ConnectError):
        await probe
    clock.advance(1.9)
    with pytest.raises(BreakerOpen):
        await guard.run(works)
    clock.advance(0.2)
    assert await guard.run(works) == "well"


@virtual
async def test_a_probe_whose_caller_left_leaves_its_place():
    clock = Manual(100)
    guard = breaker(clock=clock)
    await trip(guard)
    clock.advance(2)
    probe = asyncio.create_task(guard.run(asyncio.Event().wait))
    await asyncio.sleep(0)
    probe.cancel("client disconnected")
    await asyncio.wait([probe])

    assert await guard.run(works) == "well"
    assert guard.statistics().state == "closed"


@virtual
async def test_a_refusal_inside_tells_nothing():
    clock = Manual(100)
    guard = breaker(clock=clock)
    await trip(guard)
    clock.advance(2)
    with pytest.raises(RateLimited):
        await guard.run(fails, RateLimited("not now"))

    assert await guard.run(works) == "well", "the next call is the probe"
    for _ in range(20):
        with pytest.raises(RateLimited):
            await guard.run(fails, RateLimited("not now"))
    assert guard.statistics().state == "closed"


@virtual
async def test_answers_that_nobody_likes_are_answers():
    guard = breaker()
    for _ in range(20):
        with pytest.raises(HTTPError):
            await guard.run(fails, HTTPError(404))
    assert guard.statistics().state == "closed"
    for _ in range(20):
        with pytest.raises((HTTPError, BreakerOpen)):
            await guard.run(fails, HTTPError(503))
    assert guard.statistics().state == "open"


@virtual
async def test_which_errors_are_failures_can_be_said():
    guard = breaker(on=(KeyError,))
    for _ in range(20):
        with pytest.raises(ConnectError):
            await guard.run(fails)
    chosen = breaker(on=lambda error: "away" in str(error))
    await trip(chosen)
    assert (guard.statistics().state, chosen.statistics().state) == ("closed", "open")


@virtual
async def test_too_slow_is_a_failure():
    guard = breaker(calls=1)
    with pytest.raises(DeadlineExceeded), deadline(0.1):
        await guard.run(asyncio.Event().wait)
    assert guard.statistics().state == "open"


@virtual
async def test_a_generator_that_is_closed_tells_nothing():
    guard = breaker(calls=1)

    async def stream():
        async with guard:
            yield

    generator = stream()
    await anext(generator)
    await generator.aclose()
    assert guard.statistics().calls == 0


@virtual
async def test_a_fallback_answers():
    guard = breaker(fallback=Stale(60, default="nothing"))

    async def ask(sku, error=None):
        if error:
            raise error
        return f"{sku} is there"

    assert await guard.run(ask, 7) == "7 is there"
    for _ in range(10):
        assert await guard.run(ask, 8, ConnectError()) == "nothing"
    assert guard.statistics().state == "open"
    assert await guard.run(ask, 7) == "7 is there", "the last good answer"
    assert guard.statistics().refused == 8
    assert isinstance(guard.fallback, Stale)


@virtual
async def test_a_decorator_and_a_block():
    guard = breaker(calls=1)

    @guard
    async def ask() -> str:
        return "well"

    assert await ask() == "well"
    with pytest.raises(ConnectError):
        async with guard:
            await fails()
    assert guard.statistics().failures == 1


def test_the_same_name_in_the_same_plane_is_the_same_breaker():
    plane = Plane()
    both = [breaker(name="bank") for _ in range(2)]
    own = breaker(name="bank", scope="worker")
    for guard in (*both, own):
        guard.join(plane)
    both[0]._cell().leave(CLOSED, False, began=SECOND * 100, now=SECOND * 100)

    assert [guard.statistics().failures for guard in (*both, own)] == [1, 1, 0]
    assert breaker().name != breaker().name
    assert both[0].cell(plane, "another").state(SECOND * 100)[3] == 0


def test_the_adaptive_one_is_a_guard_too():
    clock = Manual(100)
    guard = AdaptiveBreaker(k=2, calls=5, clock=clock)
    for _ in range(20):
        guard._cell().leave(CLOSED, False, began=SECOND * 100, now=SECOND * 100)
    guard._cell().enter(SECOND * 100)

    assert guard.statistics().state == "open"
    assert guard.statistics().share == pytest.approx(20 / 21)
    assert repr(guard) == "AdaptiveBreaker(2, 5, 1, window=4)"
    assert repr(Breaker()) == "Breaker(0.6, 100, 2, window=10)"


@pytest.mark.parametrize(
    "arguments",
    [
        {"failures": 0},
        {"failures": 1.5},
        {"failures": float("nan")},
        {"failures": float("inf")},
        {"calls": 0},
        {"open": 0},
        {"window": float("inf")},
        {"scope": "world"},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(arguments):
    with pytest.raises(BadSettings):
        Breaker(**arguments)


@pytest.mark.parametrize("arguments", [{"k": 0.9}, {"k": float("nan")}, {"calls": 0}], ids=str)
def test_what_an_adaptive_one_cannot_be_is_refused(arguments):
    with pytest.raises(BadSettings):
        AdaptiveBreaker(**arguments)
