import asyncio
import time

import pytest

from megahertz.context import cancel_reason
from megahertz.errors import BadSettings, ConnectError
from megahertz.govern import Hedge, RetryBudget
from tests.virtual import virtual


class Replicas:
    """Answers each call after the next of the given seconds; an error is raised."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.calls, self.cancelled = 0, []

    async def __call__(self):
        self.calls += 1
        number, outcome = self.calls, self.outcomes.pop(0)
        seconds, error = outcome if isinstance(outcome, tuple) else (outcome, None)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        if error:
            raise error
        return number


@virtual
async def test_a_fast_call_is_made_once():
    replicas = Replicas(0.01)
    assert await Hedge(0.05).run(replicas) == 1
    assert replicas.calls == 1


@virtual
async def test_a_slow_one_is_made_again_and_the_earlier_answers():
    replicas, hedge = Replicas(1.0, 0.01), Hedge(0.05)
    began = time.monotonic()

    assert await hedge.run(replicas) == 2
    assert time.monotonic() - began == pytest.approx(0.06)
    await asyncio.sleep(0)
    assert replicas.cancelled == [1]
    assert (hedge.statistics().hedges, hedge.statistics().won) == (1, 1)


@virtual
async def test_the_first_may_still_win():
    replicas = Replicas(0.06, 1.0)
    assert await Hedge(0.05).run(replicas) == 1
    await asyncio.sleep(0)
    assert replicas.cancelled == [2]


@virtual
async def test_an_error_of_one_waits_for_the_other():
    assert await Hedge(0.05).run(Replicas((0.06, ConnectError()), 0.1)) == 2
    assert await Hedge(0.05).run(Replicas(0.2, (0.01, ConnectError()))) == 1


@virtual
async def test_of_two_errors_the_firsts_is_told():
    both = Replicas((0.06, ConnectError("first")), (0.1, ConnectError("second")))
    with pytest.raises(ConnectError, match="first"):
        await Hedge(0.05).run(both)


@virtual
async def test_an_early_error_is_told_at_once():
    replicas = Replicas((0.01, ConnectError()))
    with pytest.raises(ConnectError):
        await Hedge(0.05).run(replicas)
    assert replicas.calls == 1


@virtual
async def test_who_is_cancelled_cancels_both():
    replicas = Replicas(1.0, 1.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await Hedge(0.05).run(replicas)
    await asyncio.sleep(0)
    assert replicas.cancelled == [1, 2]


@virtual
async def test_both_know_why_the_caller_was_cancelled():
    reasons = []

    async def hangs():
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(cancel_reason())

    task = asyncio.create_task(Hedge(0.05).run(hangs))
    await asyncio.sleep(0.1)
    task.cancel("client disconnected")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert reasons == ["client disconnected"] * 2


@virtual
async def test_a_loser_that_fails_is_no_news():
    async def stubborn():
        try:
            await asyncio.sleep(1)
        finally:
            raise ZeroDivisionError

    async def quick():
        return "answer"

    calls = [stubborn, quick]
    assert await Hedge(0.05).run(lambda: calls.pop(0)()) == "answer"
    await asyncio.sleep(0.1)


@virtual
async def test_hedges_stay_within_their_budget():
    hedge = Hedge(0.05, budget=RetryBudget(0.1, reserve=5))
    replicas = Replicas(*[0.1] * 1000)
    for _ in range(200):
        await hedge.run(replicas)

    assert hedge.statistics().hedges <= 5 + 0.1 * 200


@virtual
async def test_the_delay_is_the_95th_percentile_and_stays_it():
    hedge = Hedge(budget=RetryBudget(1.0, reserve=1000))
    fast, slow = [0.001 * number for number in range(1, 20)], [0.500]
    for _ in range(16):
        for seconds in fast + slow:
            replicas = Replicas(seconds, 0.010)
            await hedge.run(replicas)

    found = hedge.statistics()
    assert 0.015 <= found.after <= 0.5
    assert found.won > 5, "slow ones were overtaken"
    assert found.hedges < 0.2 * found.calls, "not every call is slow"


@virtual
async def test_without_enough_calls_there_is_no_delay():
    hedge = Hedge()
    replicas = Replicas(*[5.0] * 19)
    for _ in range(19):
        await hedge.run(replicas)
    assert hedge.statistics().after is None
    assert replicas.calls == 19


def test_what_cannot_be_is_refused():
    with pytest.raises(BadSettings):
        Hedge(-1)
