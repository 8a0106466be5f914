import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.context import deadline
from megahertz.errors import (
    BadSettings,
    ConnectError,
    DeadlineExceeded,
    RateLimited,
    ReadError,
)
from megahertz.govern import Retry, RetryBudget, Stale
from tests.virtual import virtual


class Backend:
    """Fails as told, one error a call, then answers."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = []

    async def __call__(self, value="answer"):
        self.calls.append(time.monotonic())
        if self.errors:
            raise self.errors.pop(0)
        return value

    def gaps(self):
        return [later - sooner for sooner, later in zip(self.calls, self.calls[1:], strict=False)]


@virtual
async def test_what_was_not_done_is_tried_again():
    backend = Backend(ConnectError("away"), ConnectError("away"))

    assert await Retry().run(backend, "x") == "x"
    assert len(backend.calls) == 3


@virtual
async def test_the_last_error_is_told():
    backend = Backend(*[ConnectError(str(number)) for number in range(5)])

    with pytest.raises(ConnectError, match="2"):
        await Retry(attempts=3).run(backend)


@virtual
async def test_what_may_have_been_done_needs_to_be_idempotent():
    with pytest.raises(ReadError):
        await Retry().run(Backend(ReadError("cut off")))

    assert await Retry(idempotent=True).run(Backend(ReadError("cut off"))) == "answer"
    assert await Retry(idempotent=True).run(Backend(TimeoutError(), OSError())) == "answer"


@virtual
async def test_bugs_are_not_tried_again():
    backend = Backend(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await Retry(idempotent=True).run(backend)
    assert len(backend.calls) == 1


@virtual
async def test_which_errors_can_be_said():
    assert await Retry(on=(KeyError,)).run(Backend(KeyError())) == "answer"
    chosen = Retry(on=lambda error: "again" in str(error))
    assert await chosen.run(Backend(ValueError("again"))) == "answer"
    with pytest.raises(ValueError, match="never"):
        await chosen.run(Backend(ValueError("never")))


@virtual
async def test_waits_double_up_to_the_longest():
    backend = Backend(*[ConnectError()] * 5)
    await Retry(6, first=0.1, longest=0.5, random=lambda: 1.0).run(backend)

    assert backend.gaps() == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])


@virtual
async def test_a_wait_is_a_random_part():
    parts = iter([0.5, 0.0])
    backend = Backend(ConnectError(), ConnectError())
    await Retry(first=0.1, random=lambda: next(parts)).run(backend)

    assert backend.gaps() == pytest.approx([0.05, 0.0], abs=1e-4)


@virtual
async def test_who_says_when_is_obeyed():
    backend = Backend(RateLimited("slow down", retry_after=2.0))
    await Retry(random=lambda: 1.0).run(backend)

    assert backend.gaps() == pytest.approx([2.025])


@virtual
async def test_who_says_much_later_gets_no_other_try():
    backend = Backend(RateLimited("slow down", retry_after=60.0))
    with pytest.raises(RateLimited):
        await Retry(patience=10).run(backend)
    assert len(backend.calls) == 1


@virtual
async def test_no_try_begins_after_the_deadline():
    backend = Backend(RateLimited(retry_after=2.0))
    with deadline(1), pytest.raises(RateLimited):
        await Retry().run(backend)
    assert len(backend.calls) == 1


@virtual
async def test_each_try_may_have_a_deadline_of_its_own():
    tried = []

    async def slow_then_fast():
        tried.append(1)
        with deadline(0.1):
            await asyncio.sleep(1 if len(tried) == 1 else 0)
        return "answer"

    assert await Retry(idempotent=True).run(slow_then_fast) == "answer"
    with pytest.raises(DeadlineExceeded):
        tried.clear()
        await Retry().run(slow_then_fast)


@virtual
async def test_a_cancelled_call_is_not_tried_again():
    backend = Backend(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await Retry(on=lambda error: True).run(backend)
    assert len(backend.calls) == 1


@virtual
async def test_as_a_decorator():
    backend = Backend(ConnectError())

    @Retry(attempts=2)
    async def ask(question: str) -> str:
        """Asks."""
        return await backend(question)

    assert await ask("x") == "x"
    assert (ask.__name__, ask.__doc__) == ("ask", "Asks.")


@virtual
async def test_as_a_block():
    backend, retry, numbers = Backend(ConnectError()), Retry(), []

    async for attempt in retry:
        async with attempt:
            numbers.append(attempt.number)
            answer = await backend()

    assert (answer, numbers) == ("answer", [1, 2])
    assert retry.statistics().tries == 1


@virtual
async def test_a_backend_that_is_down_is_not_asked_three_times():
    retry = Retry(attempts=3, budget=RetryBudget(0.1, reserve=10))
    backend = Backend(*[ConnectError()] * 10_000)
    for _ in range(1000):
        with pytest.raises(ConnectError):
            await retry.run(backend)

    assert len(backend.calls) <= 1000 * 1.1 + 10
    found = retry.statistics()
    assert found.calls == 1000
    assert found.tries == len(backend.calls) - 1000
    assert found.refused > 0


@given(st.lists(st.booleans(), max_size=300), st.floats(0, 1), st.integers(1, 20))
def test_extra_tries_never_exceed_the_ratio_and_the_reserve(steps, ratio, reserve):
    budget = RetryBudget(ratio, reserve=reserve)
    for is_call in steps:
        if is_call:
            budget.count()
        else:
            budget.try_acquire()
        found = budget.statistics()
        assert found.tries <= reserve + ratio * found.calls
        assert 0 <= found.tokens <= reserve
        assert found.tries + found.refused == steps[
            : found.calls + found.tries + found.refused
        ].count(False)


def test_ten_calls_pay_for_a_try():
    budget = RetryBudget(0.1, reserve=1)
    assert [budget.try_acquire(), budget.try_acquire()] == [True, False]
    for _ in range(10):
        assert not budget.try_acquire()
        budget.count()
    assert budget.try_acquire()


@virtual
async def test_a_fallback_answers_after_the_last_try():
    retry = Retry(2, fallback=Stale(60))
    backend = Backend()
    assert await retry.run(backend, "x") == "x"
    backend.errors = [ConnectError()] * 4

    assert await retry.run(backend, "x") == "x"
    with pytest.raises(ConnectError):
        await retry.run(backend, "never asked for before")


@pytest.mark.parametrize(
    "arguments",
    [{"attempts": 0}, {"first": -1}, {"first": 2, "longest": 1}, {"patience": float("nan")}],
    ids=str,
)
def test_what_cannot_be_is_refused(arguments):
    with pytest.raises(BadSettings):
        Retry(**arguments)


@pytest.mark.parametrize(("ratio", "reserve"), [(-0.1, 1), (1.1, 1), (0.1, 0)])
def test_a_budget_that_cannot_be_is_refused(ratio, reserve):
    with pytest.raises(BadSettings):
        RetryBudget(ratio, reserve=reserve)
