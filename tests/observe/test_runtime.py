"""What a process tells of itself."""

import asyncio
import gc
import inspect
import logging
import selectors
import threading

import pytest

from megahertz import App
from megahertz.errors import BadSettings
from megahertz.observe import Alarm, Blocked, Leak, Runtime, Thresholds
from megahertz.observe.pauses import Pauses
from megahertz.observe.process import Schedule, schedule
from megahertz.observe.stacks import culprit, stack
from megahertz.observe.watchdog import Watchdog
from megahertz.testing import Client


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


# The watchdog.


def test_a_turn_that_is_too_long_is_told_once_with_its_line():
    clock, told = Clock(), []
    here = inspect.currentframe()
    dog = Watchdog(
        told.append,
        threshold=0.2,
        clock=clock,
        frames=lambda: {ident: here},
        schedule=lambda: None,
    )
    ident = threading.get_ident()

    dog.beat()
    clock.now = 0.29
    dog.look()
    assert told == []
    clock.now = 0.31
    dog.look()
    dog.look()

    (blocked,) = told
    assert blocked.seconds == 0.31
    assert blocked.where.startswith(__file__)
    assert blocked.where.endswith("in test_a_turn_that_is_too_long_is_told_once_with_its_line")
    assert blocked.stack[0] == blocked.where

    dog.beat()
    dog.look()
    clock.now = 1.0
    dog.look()
    assert len(told) == 2


def test_a_turn_that_ends_while_it_is_looked_at_is_not_told():
    clock, told = Clock(), []

    def frames():
        clock.now = 2.0
        dog.beat()
        return {threading.get_ident(): inspect.currentframe()}

    dog = Watchdog(told.append, clock=clock, frames=frames)
    clock.now = 1.0
    dog.look()

    assert told == []


def test_a_loop_that_gets_no_processor_is_blocked_by_nobody():
    names = {}
    source = "import sys\ndef select():\n    return sys._getframe()\n"
    exec(compile(source, selectors.__file__, "exec"), names)
    clock, told = Clock(), []
    ident = threading.get_ident()
    dog = Watchdog(told.append, clock=clock, frames=lambda: {ident: names["select"]()})

    clock.now = 5.0
    dog.look()

    assert told == []


def test_who_waits_for_a_processor_is_not_blamed_for_that():
    clock, told, ident = Clock(), [], threading.get_ident()
    here, seen = inspect.currentframe(), [Schedule(1.0, 0.0, False)]
    dog = Watchdog(told.append, clock=clock, frames=lambda: {ident: here}, schedule=lambda: seen[0])
    dog.look()
    clock.now, seen[0] = 0.5, Schedule(1.0, 0.0, True)
    dog.look()  # it would run, and has not since the last look
    clock.now, seen[0] = 0.55, Schedule(1.04, 0.5, True)
    dog.look()  # it runs, and has waited until now
    assert told == []
    clock.now, seen[0] = 0.7, Schedule(1.19, 0.5, True)
    dog.look()  # and has run for long enough

    (blocked,) = told
    assert blocked.seconds == pytest.approx(0.2)


def test_the_schedule_of_a_thread_is_the_kernels():
    seen = schedule(threading.get_native_id())
    assert seen is None or (seen.ran > 0 and seen.wants)
    assert schedule(1 << 30) is None


def test_the_blocking_line_is_the_users_own():
    lines = (f"{logging.__file__}:1 in x", f"{gc.__name__}.py:2 in own", "app.py:3 in handler")

    assert culprit(lines) == lines[1]
    assert culprit([f"{pytest.__file__}:1 in a", f"{logging.__file__}:9 in b"]).endswith("in a")
    assert culprit(lines[:1]) == lines[0]
    assert culprit([]) == "unknown"
    assert stack(None) == ()


def test_a_handler_that_blocks_is_named_while_it_blocks(caplog):
    """The handler goes on only once it has been told of."""
    told = []
    seen = threading.Event()

    def event(found):
        if isinstance(found, Blocked):
            told.append(found)
            seen.set()

    app = App(resources=[Runtime(Thresholds(lag=None), slow=0.01, on_event=event)])

    @app.get("/")
    async def handler() -> bool:
        seen.clear()
        told.clear()
        return seen.wait(60)

    with Client(app) as client:
        assert client.get("/").json() is True

    assert any(it.where.startswith(__file__) and it.where.endswith("handler") for it in told)
    assert any("the loop is blocked" in message for message in caplog.messages)


# The collector.


def test_pauses_are_counted_by_generation():
    clock = Clock()
    pauses = Pauses(clock)
    pauses.open()
    try:
        pauses._told("stop", {"generation": 0})  # begun before we listened
        for generation, seconds in ((0, 1.0), (2, 3.0)):
            pauses._told("start", {"generation": generation})
            clock.now += seconds
            pauses._told("stop", {"generation": generation})
        clock.now += 4.0
        share = pauses.mark()
    finally:
        pauses.close()

    found = pauses.statistics()
    assert found.collections == (1, 0, 1)
    assert (found.seconds, found.longest) == (4.0, 3.0)
    assert share == found.share == 0.5
    assert pauses.mark() == 0.0


def test_it_hears_of_real_collections():
    pauses = Pauses()
    pauses.open()
    gc.collect()
    pauses.close()

    assert pauses.statistics().collections[2] == 1
    assert pauses._told not in gc.callbacks


# Samples and thresholds.


def run(runtime, then):
    async def inside():
        async with runtime:
            return await then()

    return asyncio.run(inside())


def quiet(**options):
    return Runtime(**{"slow": None, "leaks": None, "sample": 3600.0, **options})


def test_a_sample():
    runtime = quiet()

    async def then():
        runtime.take()
        return runtime.statistics()

    found = run(runtime, then)
    assert found.tasks == 1
    assert found.memory > 1 << 20
    assert 0 < found.files < found.most_files
    assert found.threads >= 1
    assert (found.lag, found.blocked, found.leaks) == (0.0, 0, ())


def test_a_figure_above_its_threshold_is_told_once_and_again_after_it_was_below(caplog):
    events = []
    limits = Thresholds(tasks=2, lag=None, gc_share=None, files=None, threads=None)
    runtime = quiet(thresholds=limits, on_event=events.append)

    async def then():
        for count in (2, 3, 0, 2):
            tasks = [asyncio.create_task(asyncio.Event().wait()) for _ in range(count)]
            runtime.take()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return runtime.take()

    found = run(runtime, then)
    assert events == [
        Alarm(figure="tasks", value=3, threshold=2),
        Alarm(figure="tasks", value=3, threshold=2),
    ]
    assert found.alarms == {"tasks": 2}
    ours = [record.getMessage() for record in caplog.records if record.name == "megahertz"]
    assert ours == ["tasks is 3, above its threshold of 2"] * 2


def test_the_loops_lag_is_that_of_its_timers():
    clock = Clock()
    limits = Thresholds(lag=None)
    runtime = quiet(sample=0.001, clock=clock, thresholds=limits, delay=lambda: 0)
    samples, sampled = [], asyncio.Event()
    take = runtime.take

    def told():
        samples.append(take())
        sampled.set()

    runtime.take = told

    async def then():
        clock.now = 7.0
        await sampled.wait()

    run(runtime, then)
    assert samples[0].lag == samples[0].longest_lag == pytest.approx(6.999)


def test_what_the_loop_waits_for_a_processor_is_not_its_lag():
    """A machine that is busy with something else is no fault of the service's."""
    clock, delays = Clock(), [0]
    runtime = quiet(sample=0.001, clock=clock, delay=lambda: delays[0])
    samples, sampled = [], asyncio.Event()
    take = runtime.take

    def told():
        samples.append(take())
        sampled.set()

    runtime.take = told

    async def then():
        clock.now, delays[0] = 7.0, 6_000_000_000
        await sampled.wait()

    run(runtime, then)
    assert samples[0].lag == pytest.approx(0.999)


def test_in_an_application():
    runtime = Runtime(sample=3600.0)
    app = App(resources=[runtime])

    @app.get("/")
    async def handler() -> int:
        return runtime.take().tasks

    with Client(app) as client:
        assert client.get("/").json() >= 1
    names = [thread.name for thread in threading.enumerate()]
    assert "megahertz-watchdog" not in names


@pytest.mark.parametrize("options", [{"slow": 0}, {"sample": -1}, {"leaks": 0.0}])
def test_settings_that_cannot_be(options):
    with pytest.raises(BadSettings):
        Runtime(**options)


def test_a_leak_is_told_like_the_rest(caplog):
    events = []
    runtime = quiet(on_event=events.append)
    runtime._leaking(Leak(kind="tasks", counts=(1, 2), where=""))

    assert events == [Leak(kind="tasks", counts=(1, 2), where="")]
    assert caplog.messages == ["tasks only grow: 1, 2; most of them by a place that is not known"]


def test_windows_of_the_leak_detector_follow_each_other():
    runtime = quiet(leaks=0.001)
    looks, enough = [], asyncio.Event()

    def look():
        looks.append(None)
        if len(looks) == 3:
            enough.set()

    runtime._leaks.look = look
    run(runtime, enough.wait)

    assert len(looks) >= 3
