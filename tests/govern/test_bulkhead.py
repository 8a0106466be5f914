import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.context import deadline
from megahertz.errors import BadSettings, BulkheadFull, DeadlineExceeded
from megahertz.govern import Bulkhead, BulkheadStatistics
from tests.virtual import virtual


async def hold(bulkhead, seconds, log=None, name=None):
    async with bulkhead:
        if log is not None:
            log.append(name)
        await asyncio.sleep(seconds)


@virtual
async def test_who_may_wait_goes_in_order():
    bulkhead, log = Bulkhead(1, queue=3), []
    async with asyncio.TaskGroup() as group:
        for name in "abcd":
            group.create_task(hold(bulkhead, 1, log, name))
    assert log == [*"abcd"]
    assert bulkhead.statistics() == BulkheadStatistics(0, 1, 0, 0)


@virtual
async def test_a_full_queue_refuses():
    bulkhead = Bulkhead(1, queue=1)
    tasks = [asyncio.create_task(hold(bulkhead, 1)) for _ in range(2)]
    await asyncio.sleep(0)
    assert bulkhead.statistics() == BulkheadStatistics(1, 1, 0, 1)

    with pytest.raises(BulkheadFull, match="1 wait already"):
        await hold(bulkhead, 1)
    await asyncio.gather(*tasks)


@virtual
async def test_a_wait_is_bounded():
    bulkhead = Bulkhead(1, queue=5, wait=0.5)
    task = asyncio.create_task(hold(bulkhead, 1))
    await asyncio.sleep(0)

    with pytest.raises(BulkheadFull, match="in time"):
        await hold(bulkhead, 1)
    await task
    assert bulkhead.statistics() == BulkheadStatistics(0, 1, 1, 0)


@virtual
async def test_a_wait_ends_with_the_callers_deadline():
    bulkhead = Bulkhead(1, queue=5)
    task = asyncio.create_task(hold(bulkhead, 1))
    await asyncio.sleep(0)

    with pytest.raises((DeadlineExceeded, BulkheadFull)), deadline(0.1):
        await hold(bulkhead, 1)
    assert bulkhead.statistics().waiting == 0
    await task


@virtual
async def test_a_place_that_comes_with_a_cancellation_is_passed_on():
    bulkhead, log = Bulkhead(1, queue=5), []
    tasks = [asyncio.create_task(hold(bulkhead, 1, log, name)) for name in "abc"]
    await asyncio.sleep(0.5)
    asyncio.get_running_loop().call_later(0.5, tasks[1].cancel)
    await asyncio.wait(tasks)
    assert log in (["a", "c"], ["a", "b", "c"])
    assert bulkhead.statistics() == BulkheadStatistics(0, 1, 0, 0)


@virtual
async def test_who_gives_up_waiting_leaves_the_queue():
    bulkhead, log = Bulkhead(1, queue=5), []
    tasks = [asyncio.create_task(hold(bulkhead, 1, log, name)) for name in "abc"]
    await asyncio.sleep(0.5)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert log == ["a", "c"]


@virtual
async def test_the_call_and_the_decorator_free_their_place_on_errors():
    bulkhead = Bulkhead(1)

    @bulkhead
    async def fails() -> None:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await fails()
    assert bulkhead.statistics() == BulkheadStatistics(0, 1, 0, 0)


@virtual
async def test_a_fallback_answers_a_refusal():
    bulkhead = Bulkhead(1, fallback="busy")

    async def work() -> str:
        return "done"

    async with bulkhead:
        assert await bulkhead.run(work) == "busy"
    assert await bulkhead.run(work) == "done"


@virtual
async def test_the_same_task_may_enter_twice():
    bulkhead = Bulkhead(2)
    async with bulkhead, bulkhead:
        assert bulkhead.statistics().running == 2
    assert bulkhead.statistics().running == 0


@virtual
async def test_a_generator_may_be_closed_by_another_task():
    bulkhead = Bulkhead(1)

    async def lasting():
        async with bulkhead:
            yield

    generator = lasting()
    await anext(generator)
    await asyncio.create_task(generator.aclose())
    assert bulkhead.statistics().running == 0


@given(
    st.integers(1, 3),
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 20)), max_size=12),
)
def test_never_more_than_allowed_and_nothing_leaks(most, queue, calls):
    bulkhead, peak = Bulkhead(most, queue=queue), 0

    async def one(start, length, give_up):
        nonlocal peak
        await asyncio.sleep(start)
        async with asyncio.timeout(give_up), bulkhead:
            peak = max(peak, bulkhead.statistics().running)
            await asyncio.sleep(length)

    @virtual
    async def all_of_them():
        await asyncio.gather(*[one(*call) for call in calls], return_exceptions=True)

    all_of_them()

    assert peak <= most
    found = bulkhead.statistics()
    assert (found.running, found.waiting) == (0, 0)


@pytest.mark.parametrize(
    "arguments", [{"most": 0}, {"most": 1, "queue": -1}, {"most": 1, "wait": 0}]
)
def test_what_cannot_be_is_refused(arguments):
    with pytest.raises(BadSettings):
        Bulkhead(**arguments)
