import asyncio
import contextvars
import threading

import pytest

from megahertz.errors import Overloaded
from megahertz.http import Threads


async def test_a_call_runs_in_a_thread_with_a_copy_of_the_context():
    variable = contextvars.ContextVar("variable")
    variable.set("caller")
    threads = Threads(1)

    def call():
        seen = variable.get(), threading.current_thread() is threading.main_thread()
        variable.set("changed")
        return seen

    assert await threads.run(call) == ("caller", False)
    assert variable.get() == "caller"
    threads.close()


async def test_above_threads_and_queue_a_call_is_refused():
    threads, leave = Threads(1, waiting=1), threading.Event()
    calls = [asyncio.ensure_future(threads.run(lambda: leave.wait(10))) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(Overloaded) as caught:
        await threads.run(lambda: None)
    leave.set()
    await asyncio.gather(*calls)

    assert caught.value.retry_after == 1.0
    assert (threads.statistics().admitted, threads.statistics().refused) == (0, 1)
    threads.close()


async def test_an_error_comes_back_and_frees_the_place():
    threads = Threads(1, waiting=0)

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)
    threads.close()


async def test_a_cancelled_caller_leaves_and_the_place_is_free_when_the_thread_ends():
    threads, entered, leave = Threads(1, waiting=0), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def call():
        loop.call_soon_threadsafe(entered.set)
        leave.wait(10)

    task = asyncio.ensure_future(threads.run(call))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    with pytest.raises(Overloaded):
        await threads.run(lambda: None)
    leave.set()
    while threads.statistics().admitted:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert await threads.run(lambda: "free") == "free"
    threads.close()


async def test_a_cancelled_caller_whose_call_never_began_frees_the_place():
    threads, leave = Threads(1, waiting=1), threading.Event()
    first = asyncio.ensure_future(threads.run(lambda: leave.wait(10)))
    second = asyncio.ensure_future(threads.run(lambda: "never"))
    await asyncio.sleep(0)

    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    third = asyncio.ensure_future(threads.run(lambda: "third"))
    await asyncio.sleep(0)
    leave.set()

    assert await third == "third"
    assert await first
    threads.close()


async def test_clean_up_is_never_refused_and_ends_before_its_caller_is_cancelled():
    threads, begun, go, happened = Threads(1, 0), threading.Event(), threading.Event(), []

    def clean():
        begun.set()
        go.wait(20)
        happened.append("cleaned")

    first = asyncio.create_task(threads.finish(clean))
    await asyncio.to_thread(begun.wait, 20)
    second = asyncio.create_task(threads.finish(lambda: happened.append("second")))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await threads.run(lambda: None)
    first.cancel()
    second.cancel()
    await asyncio.sleep(0)
    go.set()
    for task in (first, second):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert happened == ["cleaned", "second"]
    assert threads.statistics().admitted == 0
    threads.close()
