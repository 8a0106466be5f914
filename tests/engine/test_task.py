"""asyncio's contract inside a handler: before its first suspension and after it.

The themes are those of CPython's test_timeouts, test_taskgroups and test_waitfor; the last test
runs these very suites with `RequestTask` as the loop's task.
"""

import asyncio
import contextvars
import gc
import subprocess
import sys
import types
import weakref

import anyio
import pytest

var = contextvars.ContextVar("var", default="unset")
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


@check
async def current_task_is_valid():
    task = asyncio.current_task()
    assert not task.done()
    assert task.get_coro() is not None
    assert task.get_loop() is asyncio.get_running_loop()
    assert weakref.ref(task)() is task
    await asyncio.sleep(0)
    assert asyncio.current_task() is task
    assert task in asyncio.all_tasks()


@check
async def name_and_repr():
    task = asyncio.current_task()
    task.set_name("mine")
    assert task.get_name() == "mine"
    assert "pending" in repr(task)


@check
async def timeout_expires():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001) as scope:
            await asyncio.Event().wait()
    assert scope.expired()
    assert asyncio.current_task().cancelling() == 0


@check
async def timeout_of_zero():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    assert asyncio.current_task().cancelling() == 0


@check
async def timeout_not_reached():
    async with asyncio.timeout(60) as scope:
        await asyncio.sleep(0)
    assert not scope.expired()


@check
async def timeouts_nest():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001) as outer:
            try:
                async with asyncio.timeout(60) as inner:
                    await asyncio.Event().wait()
            finally:
                assert not inner.expired()
    assert outer.expired()


@check
async def timeout_lets_errors_through():
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(60):
            _ = 1 / 0
    assert asyncio.current_task().cancelling() == 0


@check
async def timeout_reschedules():
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(0.001) as scope:
        scope.reschedule(loop.time() + 60)
        done = loop.create_future()
        loop.call_later(0.002, done.set_result, None)
        await done
    assert not scope.expired()


@check
async def task_group_gives_results():
    async def child(value):
        await asyncio.sleep(0)
        return value

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(child(value)) for value in range(3)]
    assert [task.result() for task in tasks] == [0, 1, 2]


@check
async def task_group_child_fails_while_its_parent_waits():
    async def bad():
        _ = 1 / 0

    interrupted = False
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(bad())
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                interrupted = True
                raise
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)
    assert interrupted
    assert asyncio.current_task().cancelling() == 0


@check
async def task_group_body_raises():
    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(asyncio.Event().wait())
            await asyncio.sleep(0)
            raise KeyError("x")
    assert waiting.cancelled()


@check
async def wait_for_both_ways():
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.001)
    assert await asyncio.wait_for(asyncio.sleep(0, 7), 60) == 7


@check
async def shield_protects():
    done = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.shield(done)
    assert not done.cancelled()
    done.set_result(3)
    assert await done == 3


@check
async def to_thread_keeps_the_context():
    var.set("thread")
    assert await asyncio.to_thread(var.get) == "thread"


@check
async def gather_and_wait():
    assert await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2)) == [1, 2]
    done, pending = await asyncio.wait([asyncio.create_task(asyncio.sleep(0))], timeout=60)
    assert (len(done), len(pending)) == (1, 0)


@check
async def context_is_the_requests_own():
    assert var.get() == "unset"
    var.set("mine")
    await asyncio.sleep(0)
    assert var.get() == "mine"


@check
async def children_have_copies_of_the_context():
    var.set("parent")

    async def child():
        assert var.get() == "parent"
        var.set("child")

    await asyncio.create_task(child())
    assert var.get() == "parent"


@check
async def cancelling_oneself():
    task = asyncio.current_task()
    task.cancel("why")
    with pytest.raises(asyncio.CancelledError) as caught:
        await asyncio.Event().wait()
    assert caught.value.args == ("why",)
    assert (task.cancelling(), task.uncancel()) == (1, 0)


@check
async def cancelled_by_another():
    task = asyncio.current_task()
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.Event().wait()
    task.uncancel()


@check
async def cancellation_goes_through_an_inner_task():
    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 5

    task = asyncio.current_task()
    inner = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(task.cancel)
    assert await inner == 5
    task.uncancel()


@check
async def locks_and_queues():
    lock, queue = asyncio.Lock(), asyncio.Queue()
    asyncio.get_running_loop().call_soon(queue.put_nowait, 1)
    async with lock:
        assert await queue.get() == 1


@check
async def a_futures_exception_is_raised():
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_exception, KeyError("k"))
    with pytest.raises(KeyError):
        await future


@check
async def what_is_no_future_is_refused():
    @types.coroutine
    def odd():
        yield 42

    with pytest.raises(RuntimeError, match="bad yield"):
        await odd()


@check
async def a_future_of_another_loop_is_refused():
    other = asyncio.new_event_loop()
    try:
        with pytest.raises(RuntimeError, match="different loop"):
            await other.create_future()
    finally:
        other.close()


@check
async def done_callbacks_and_awaiting_the_task():
    task = asyncio.current_task()
    seen = []
    task.add_done_callback(seen.append)
    assert task.remove_done_callback(seen.append) == 1
    with pytest.raises(asyncio.InvalidStateError):
        task.result()
    with pytest.raises(asyncio.InvalidStateError):
        task.exception()


@check
async def a_callback_that_cannot_be_compared_leaves_all_where_they_are():
    class Odd:
        def __eq__(self, other):
            raise ValueError("compared")

        def __call__(self, task):
            raise AssertionError("removed below")

    task, odd, seen = asyncio.current_task(), Odd(), []
    task.add_done_callback(odd)
    task.add_done_callback(seen.append)
    with pytest.raises(ValueError, match="compared"):
        task.remove_done_callback(seen.append)
    assert [known for known, _ in task._callbacks][-2:] == [odd, seen.append]
    Odd.__eq__ = object.__eq__
    assert task.remove_done_callback(odd) == task.remove_done_callback(seen.append) == 1


@check
async def async_generators():
    async def numbers():
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    assert [number async for number in numbers()] == [0, 1, 2]


@check
async def anyio_scopes():
    with anyio.move_on_after(0.001) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0)
    assert await anyio.to_thread.run_sync(lambda: 3) == 3


@check
async def the_stack_is_known():
    task = asyncio.current_task()
    asyncio.get_running_loop().call_soon(lambda: frames.extend(task.get_stack()))
    frames = []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert frames[0].f_code is task.get_coro().cr_code


@pytest.mark.parametrize("suspended", [False, True], ids=["first-step", "after-suspension"])
@pytest.mark.parametrize("body", CHECKS, ids=lambda body: body.__name__)
async def test_asyncio_holds_in_a_handler(serve, body, suspended):
    async def handler():
        if suspended:
            await asyncio.sleep(0)
        await body()
        return "held"

    async with serve({"GET /": (handler, {"bare": True})}) as site:
        reply = await (await site.peer()).get("/")
        if site.service.failures:
            raise site.service.failures[0]
        assert reply.body == b"held"


@pytest.mark.parametrize("client", ["httpx", "aiohttp"])
async def test_other_libraries_work_in_a_handler(serve, client):
    async def ok():
        return "ok"

    async def relay():
        url = f"http://127.0.0.1:{site.port}/ok"
        if client == "httpx":
            import httpx

            async with httpx.AsyncClient() as session:
                return (await session.get(url)).text
        import aiohttp

        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            return await reply.text()

    handlers = {"GET /ok": (ok, {"bare": True}), "GET /": (relay, {"bare": True})}
    async with serve(handlers) as site:
        assert (await (await site.peer()).get("/")).body == b"ok"


async def test_a_task_that_others_hold_tells_them_how_it_ended(serve):
    held = []

    async def handler():
        held.append(asyncio.current_task())
        return "result"

    async def failing():
        held.append(asyncio.current_task())
        raise KeyError("k")

    handlers = {"GET /": (handler, {"bare": True}), "GET /bad": (failing, {"bare": True})}
    async with serve(handlers) as site:
        peer = await site.peer()
        await peer.get("/")
        await peer.get("/bad")
        assert await held[0] == "result"
        assert isinstance(held[1].exception(), KeyError)
        assert not held[1].cancelled()
        held.clear()


@pytest.mark.parametrize("known", [True, False], ids=["by the dict", "by the hooks"])
async def test_each_request_of_a_batch_is_the_current_task(serve, monkeypatch, known):
    real = asyncio.tasks.current_task
    if not known:  # the mark that the engine puts into asyncio's dict does not come out of it
        monkeypatch.setattr(asyncio.tasks, "current_task", lambda loop=None: real(loop) or None)
    held, between = [], []

    def endpoint():  # before its coroutine is a task, and behind the task of the one before
        between.append(asyncio.current_task())
        return handler()

    async def handler():
        held.append(asyncio.current_task())
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: between.append(asyncio.current_task()))
        return "ok"

    async with serve({"GET /": (endpoint, {"bare": True})}) as site:
        peer = await site.peer()
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
        for _ in range(5):
            assert (await peer.reply()).body == b"ok"
        assert asyncio.current_task() not in held
    assert len({id(task) for task in held}) == 5
    assert between == [None] * 10
    held.clear()


async def test_a_task_serves_another_request_only_where_nobody_knows_it(serve):
    seen, between, weak = [], [], []

    async def handler():
        seen.append(id(asyncio.current_task()))
        return "ok"

    async def known():
        weak.append(weakref.ref(asyncio.current_task()))
        return "ok"

    def wrapped():  # runs as part of no task
        between.append(asyncio.current_task())
        return handler()

    endpoints = {"GET /": handler, "GET /known": known, "GET /wrapped": wrapped}
    async with serve({name: (it, {"bare": True}) for name, it in endpoints.items()}) as site:
        peer = await site.peer()
        batch = [b"/", b"/", b"/known", b"/known", b"/wrapped", b"/"]
        await peer.send(b"".join(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % it for it in batch))
        for _ in batch:
            assert (await peer.reply()).body == b"ok"
    assert seen[0] == seen[1]
    assert [ref() for ref in weak] == [None, None]
    assert between == [None]


async def test_nothing_leaks_over_many_requests(serve):
    """100,000 requests: in place, suspended, failing and refused."""

    async def quick():
        return {"a": 1}

    async def later(exchange):
        await asyncio.sleep(0)
        return exchange.path

    async def broken():
        raise ValueError("boom")

    handlers = {
        "GET /": (quick, {"bare": True}),
        "GET /later": later,
        "GET /broken": (broken, {"bare": True}),
    }
    async with serve(handlers) as site:
        peer = await site.peer()
        paths = ["/", "/later", "/", "/broken", "/nope", "/", "/later?x=1", "/", "/", "/"]
        batch = b"".join(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode() for path in paths)

        async def run(batches):
            for _ in range(batches):
                await peer.send(batch)
                for _ in paths:
                    await peer.reply()
            site.service.failures.clear()
            gc.collect()
            return len(gc.get_objects())

        before = await run(100)
        after = await run(9_900)
        assert site.server.statistics().requests >= 90_000
        assert after - before < 50


SUITES = ["test_timeouts", "test_taskgroups", "test_waitfor", "test_locks", "test_queues"]
CONTROL = """
import asyncio, importlib, sys, unittest
from megahertz.engine.native import RequestTask

def create_task(self, coro, *, name=None, context=None, **rest):
    return RequestTask.alone(self, coro, context=context, name=name)

asyncio.base_events.BaseEventLoop.create_task = create_task
module = importlib.import_module("test.test_asyncio." + sys.argv[1])
result = unittest.TextTestRunner(verbosity=0).run(
    unittest.defaultTestLoader.loadTestsFromModule(module))
print(result.testsRun)
sys.exit(not result.wasSuccessful() or result.testsRun < 10)
"""


@pytest.mark.parametrize("suite", SUITES)
def test_cpythons_own_suites_pass_with_our_task(suite):
    run = subprocess.run(
        [sys.executable, "-c", CONTROL, suite], capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stderr[-3000:]
