import asyncio
import time
from math import inf

import pytest

from megahertz.context import DEADLINE, cancel_reason, deadline, lift_deadline
from megahertz.errors import BadSettings, DeadlineExceeded, Misused
from tests.virtual import virtual


@virtual
async def test_without_one_nothing_is_known():
    assert deadline() is None


@virtual
async def test_what_is_left_becomes_less():
    with deadline(1):
        await asyncio.sleep(0.25)
        assert deadline() == pytest.approx(0.75)
    assert deadline() is None


@virtual
async def test_it_cancels_what_takes_longer():
    began = time.monotonic()

    with pytest.raises(DeadlineExceeded, match=r"not done within 0\.1 s") as told, deadline(0.1):
        await asyncio.sleep(10)

    assert isinstance(told.value, TimeoutError)
    assert time.monotonic() - began == pytest.approx(0.1)
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


@virtual
async def test_an_async_with_does_the_same():
    with pytest.raises(DeadlineExceeded):
        async with deadline(0.1) as block:
            await asyncio.sleep(10)
    assert block.expired


@virtual
async def test_an_inner_one_never_widens():
    with pytest.raises(DeadlineExceeded), deadline(1), deadline(5):
        assert deadline() == pytest.approx(1)
        await asyncio.sleep(2)


@virtual
async def test_who_is_late_inside_can_still_do_something_else():
    with deadline(1):
        with pytest.raises(DeadlineExceeded), deadline(0.1):
            await asyncio.sleep(2)
        assert deadline() == pytest.approx(0.9)
        await asyncio.sleep(0.5)


@virtual
async def test_tasks_started_inside_inherit_it():
    async def child():
        with deadline(7):
            return deadline()

    with deadline(1):
        task = asyncio.create_task(child())
    assert await task == pytest.approx(1)


@virtual
async def test_a_child_ends_with_the_narrower_of_the_two():
    async def child():
        with deadline(7):
            await asyncio.sleep(10)

    with deadline(1):
        task = asyncio.create_task(child())
    with pytest.raises(DeadlineExceeded):
        await task


@virtual
async def test_a_cancellation_from_elsewhere_stays_one():
    async def work():
        with deadline(1):
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@virtual
async def test_both_at_once_is_a_cancellation():
    async def work():
        with deadline(1):
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(1, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


@virtual
async def test_it_nests_with_asyncios_own():
    with pytest.raises(TimeoutError) as told:
        async with asyncio.timeout(0.1):
            with deadline(1):
                await asyncio.sleep(10)
    assert not isinstance(told.value, DeadlineExceeded)

    with pytest.raises(DeadlineExceeded), deadline(0.1):
        async with asyncio.timeout(1):
            await asyncio.sleep(10)


@virtual
async def test_an_error_inside_is_told_as_it_is():
    with pytest.raises(ZeroDivisionError), deadline(0.1):
        raise ZeroDivisionError


@virtual
async def test_who_swallows_the_cancellation_goes_on():
    with deadline(0.1) as block:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            pass
    assert block.expired
    assert asyncio.current_task().cancelling() == 0


@virtual
async def test_no_time_at_all_ends_at_the_first_wait():
    with pytest.raises(DeadlineExceeded), deadline(0):
        assert deadline() == 0.0
        await asyncio.sleep(10)


@virtual
async def test_a_deadline_without_end_sets_no_end():
    with deadline(inf):
        assert deadline() is None


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_what_cannot_be_is_refused(seconds):
    with pytest.raises(BadSettings):
        deadline(seconds)


def test_outside_of_a_task_it_cannot_work():
    with pytest.raises(RuntimeError), deadline(1):
        pytest.fail("there is nothing to cancel")


@virtual
async def test_it_is_for_one_use():
    once = deadline(1)
    with once:
        pass
    with pytest.raises(Misused), once:
        pytest.fail("used twice")


@virtual
async def test_a_generator_may_be_closed_from_another_task():
    async def lasting():
        with deadline(5):
            yield

    generator = lasting()
    await anext(generator)
    await asyncio.create_task(generator.aclose())


async def reason_of(cancel):
    found = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            found.append(cancel_reason())

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    cancel(task)
    await asyncio.wait([task])
    return found


@pytest.mark.parametrize("reason", ["client disconnected", "deadline exceeded", "server closed"])
async def test_who_is_cancelled_can_ask_why(reason):
    assert await reason_of(lambda task: task.cancel(reason)) == [reason]


async def test_other_reasons_are_somebody_elses():
    assert cancel_reason() is None
    assert await reason_of(lambda task: task.cancel()) == [None]
    assert await reason_of(lambda task: task.cancel("mine")) == [None]


@virtual
async def test_children_of_a_group_know_that_the_deadline_passed():
    found = []

    async def child():
        try:
            await asyncio.Event().wait()
        finally:
            found.append(cancel_reason())

    with pytest.raises(DeadlineExceeded), deadline(1):
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
    assert found == ["deadline exceeded"]


@virtual
async def test_an_error_that_is_no_cancellation_has_no_reason():
    with pytest.raises(DeadlineExceeded):
        try:
            with deadline(0.1):
                await asyncio.sleep(1)
        finally:
            assert cancel_reason() is None


def test_the_end_is_a_moment_of_the_monotonic_clock():
    async def inside():
        with deadline(50):
            assert DEADLINE.get() == pytest.approx(time.monotonic() + 50, abs=40)

    asyncio.run(inside())


@virtual
async def test_what_outlives_its_caller_can_lift_the_deadline():
    async def left_behind():
        lift_deadline()
        await asyncio.sleep(5)
        with deadline(7):
            return deadline()

    with deadline(1):
        task = asyncio.create_task(left_behind())
        await asyncio.sleep(0)
        assert deadline() == pytest.approx(1)
    assert await task == pytest.approx(7)
