"""Samples by a signal: short callbacks are seen, and nothing of it stays."""

import asyncio
import signal
import sys
import threading

import pytest

from megahertz.observe import Worker
from megahertz.observe.profile.behalf import ENGINE, Behalves
from megahertz.observe.profile.recorder import Recorder
from megahertz.observe.profile.ticks import Ticks

MAIN = threading.main_thread().ident


@pytest.fixture(autouse=True)
def _left_alone():
    before = signal.getsignal(signal.SIGPROF)
    yield
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    signal.signal(signal.SIGPROF, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, before)


def ticks(loop, thread=MAIN):
    return Ticks(loop, thread, Behalves([]), 3600.0)


async def turn():
    """What was asked of the loop has happened."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_short_callbacks_are_seen():
    worker = Worker(asyncio.get_running_loop())
    recorder = Recorder(worker, rate=500)

    def short():
        return sum(range(1000))

    def seen():
        functions = {code for _, _, stack in recorder._running._stacks for code, _ in stack}
        return short.__code__ in functions

    recording = asyncio.create_task(asyncio.to_thread(recorder.record, 60.0, seen))
    while not recording.done():
        short()
        await asyncio.sleep(0)
    found = (await recording).running
    await turn()
    names = {(await recording).frames[number].name for one in found for number in one.frames}
    assert any(name.endswith("short") for name in names)
    assert not recorder._ticks.works
    assert signal.getsignal(signal.SIGPROF) is signal.SIG_IGN


async def test_a_signal_is_a_sample_of_what_runs():
    asked = ticks(asyncio.get_running_loop())
    asked.begin()
    await turn()
    assert asked.works
    signal.raise_signal(signal.SIGPROF)
    ((behalf, stack, used),) = asked.take()
    asked.end()
    await turn()
    assert behalf.route.startswith("task ")
    assert stack[-1][0].co_name == "raise_signal" or stack[-1][0] is sys._getframe().f_code
    assert used >= 0.0
    assert asked.spent > 0
    signal.raise_signal(signal.SIGPROF)  # one that was on its way ends nobody
    assert asked.take() == []


async def test_outside_of_every_task_it_is_the_engines():
    loop = asyncio.get_running_loop()
    asked = ticks(loop)
    loop.call_soon(asked._tick, signal.SIGPROF, None)
    await turn()
    ((behalf, stack, _),) = asked.take()
    assert (behalf.route, stack) == (ENGINE, ())


async def test_who_uses_the_signal_keeps_it():
    def own(number, frame):
        """Somebody else's."""

    signal.signal(signal.SIGPROF, own)
    asked = ticks(asyncio.get_running_loop())
    asked.begin()
    await turn()
    assert not asked.works
    asked.end()
    await turn()
    assert signal.getsignal(signal.SIGPROF) is own
    asked._ignore()
    assert signal.getsignal(signal.SIGPROF) is own


async def test_one_that_has_ended_before_it_began_never_does():
    asked = ticks(asyncio.get_running_loop())
    asked.begin()
    asked.end()
    await turn()
    assert not asked.works


async def test_a_loop_of_another_thread_has_none():
    asked = ticks(asyncio.get_running_loop(), thread=MAIN + 1)
    asked.begin()
    await turn()
    assert not asked.works


def test_a_loop_that_is_closed_is_not_asked():
    loop = asyncio.new_event_loop()
    loop.close()
    asked = ticks(loop)
    asked.begin()
    asked.end()
    assert not asked.works
