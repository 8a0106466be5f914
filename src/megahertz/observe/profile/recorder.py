"""Looks at a process from a thread of its own, many times a second, for some seconds.

Theory: py-spy reads another process's memory: exact, without the interpreter's lock, but all it can
know is frames. Whose request they work for only the process itself can tell. So a thread looks at
`sys._current_frames()` and at the loop's current task, which works while the loop is blocked too.

Rules:
- The loop's thread is accounted by the clock: whatever it does, nothing else runs in it. Other
  threads are accounted by processor time, since they wait without harm.
- A thread that asks for the interpreter gets it where another lets go of it, and the loop lets go
  of it when it has nothing to do: then all one ever sees is idleness. So while it records, a thread
  has the interpreter for 0.1 ms at most (`sys.setswitchinterval`) instead of 5; and what the loop's
  thread spends the processor on is sampled by a signal (`ticks.py`), where it is the main one.
- Native code that keeps the interpreter to itself is seen as the line that called it, once it is
  over, with all of its time.
- Requests that wait run nowhere: the loop is asked for them ten times a second.

Rejected: py-spy as a child process (knows no route; needs ptrace); a signal alone (handlers do not
run while the main thread is blocked).
"""

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from megahertz.errors import BackendError, BadSettings
from megahertz.observe.kept import kept
from megahertz.observe.live import Worker
from megahertz.observe.profile.behalf import Behalf, Behalves
from megahertz.observe.profile.loop import LoopTimes
from megahertz.observe.profile.recording import Cost, Recording, Slice
from megahertz.observe.profile.table import Line, Table, lines, plain
from megahertz.observe.profile.ticks import Ticks
from megahertz.observe.profile.waits import Waits

LONGEST = 600.0
"""Seconds of a recording (Go's net/http/pprof: 30 unless it is asked for others)."""

RATE = 100
"""Looks a second (py-spy, Go: 100)."""

MOST_RATE = 500
"""Above, the thread would be most of what it sees."""

SWITCH = 0.0001
"""Seconds for which a thread may keep the interpreter meanwhile; see above."""

WAITS = 0.1
"""Seconds between two questions for the requests that wait."""

PAUSES = 100_000
"""Pauses of the collector that are kept."""

Frames = Callable[[], Mapping[int, FrameType]]

_ONE = threading.Lock()


class Recorder:
    """Records one worker.

    Args:
        worker: whose loop it is.
        rate: looks a second.
        clock: nanoseconds.
        frames: of all threads.

    Raises:
        BadSettings: a rate that cannot be.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        rate: int = RATE,
        clock: Callable[[], int] = time.perf_counter_ns,
        frames: Frames = sys._current_frames,
    ) -> None:
        if not 1 <= rate <= MOST_RATE:
            raise BadSettings(f"rate {rate}: 1 to {MOST_RATE} looks a second")
        self._worker = worker
        self._period = 1 / rate
        self._clock = clock
        self._frames = frames
        server = worker.server
        self._behalves = Behalves(() if server is None else server.handlers())
        self._ticks = Ticks(worker.loop, worker.thread, self._behalves, self._period)
        self._running = Table()
        self._loop = LoopTimes()
        self._waits = Waits()
        self._pauses: list[Slice] = []
        self._paused_at = 0
        self._cpu: dict[int, int] = {}
        self._began = clock()
        self._lags: list[tuple[float, float]] = []
        self._asked: float | None = None
        self._waits_at = 0.0
        self._spent_on_loop = 0

    def record(self, seconds: float, gone: Callable[[], bool] = lambda: False) -> Recording:
        """Looks for some seconds, or until whoever wants to know has gone.

        Raises:
            BackendError: somebody else records this process.
            BadSettings: a time that cannot be.
        """
        if not 0 < seconds <= LONGEST:
            raise BadSettings(f"{seconds} s: above 0, at most {LONGEST:g}")
        if not _ONE.acquire(blocking=False):
            raise BackendError("somebody else records this process")
        interval = sys.getswitchinterval()
        gc.callbacks.append(self._collects)
        try:
            sys.setswitchinterval(SWITCH)
            self._ticks.begin()
            return self._record(seconds, gone)
        finally:
            self._ticks.end()
            sys.setswitchinterval(interval)
            gc.callbacks.remove(self._collects)
            _ONE.release()

    def _record(self, seconds: float, gone: Callable[[], bool]) -> Recording:
        began, cost = time.time_ns(), Cost(wanted=round(seconds / self._period))
        own, process = time.thread_time_ns(), time.process_time_ns()
        self._began = last = self._clock()
        self._spend(list(threading.enumerate()))
        while (now := self._clock()) - self._began < seconds * 1e9 and not gone():
            time.sleep(max(0.0, self._period - (self._clock() - last) / 1e9))
            now = self._clock()
            self.look(now, (now - last) / 1e9)
            last = now
            cost.taken += 1
        if self._asked is not None:  # blocked to the end
            self._loop.came((self._asked, (last - self._began) / 1e9 - self._asked))
        cost.thread = (time.thread_time_ns() - own) / 1e9
        cost.loop = (self._spent_on_loop + self._ticks.spent) / 1e9
        numbers: dict[Line, int] = {}
        running, waiting = self._running.stacks(numbers), self._waits.table.stacks(numbers)
        return Recording(
            pid=os.getpid(),
            began=began,
            seconds=(self._clock() - self._began) / 1e9,
            frames=plain(numbers),
            running=running,
            waiting=waiting,
            loop=self._loop.slices(),
            blocked=self._loop.blocked,
            pauses=self._pauses,
            lags=self._lags,
            tracks=self._waits.tracks(),
            spans=kept(since=began),
            idle=self._loop.idle,
            cpu=(time.process_time_ns() - process) / 1e9,
            left_out=sum((self._running.left_out, self._waits.table.left_out, self._waits.left_out))
            + self._loop.left_out,
            cost=cost,
        )

    def look(self, now: int, passed: float) -> None:
        """One look, so many seconds after the one before."""
        at = (now - self._began) / 1e9
        frames, names = self._frames(), {it.ident: it for it in threading.enumerate()}
        spent = self._spend(list(names.values()))
        for ident, frame in frames.items():
            cpu = spent.get(ident, 0.0)
            if ident == self._worker.thread:
                self._look_at_loop(frame, at, passed, cpu)
            elif ident != threading.get_ident() and cpu > 0.0:
                thread = names.get(ident)
                name = "thread" if thread is None else thread.name
                behalf = Behalf(self._behalves.of_frames(frame) or f"thread {name}")
                self._running.add(behalf, lines(frame), held=cpu, cpu=cpu, thread=name)
        self._beat(at)

    def _look_at_loop(self, frame: FrameType, at: float, passed: float, cpu: float) -> None:
        for behalf, stack, used in self._ticks.take():
            self._running.add(behalf, stack, held=used, cpu=used)
        if self._loop.is_idle(frame, busy=cpu > passed / 2):
            return self._loop.rest(at, max(0.0, passed - cpu))
        stack = lines(frame)
        behalf = self._behalves.of_task(asyncio.current_task(self._worker.loop), frame)
        if self._ticks.works:  # the processor's part is theirs
            self._running.add(behalf, stack, held=max(0.0, passed - cpu))
        else:
            self._running.add(behalf, stack, held=passed, cpu=cpu)
        return self._loop.ran(at, passed, behalf, stack)

    def _spend(self, threads: list[threading.Thread]) -> dict[int, float]:
        """Seconds of processor time of each since the last look."""
        spent = {}
        for thread in threads:
            if thread.ident is None or thread.native_id is None:
                continue
            try:
                # The clock of a thread by its number (linux/posix-timers.h, CPUCLOCK_SCHED of one).
                used = time.clock_gettime_ns(~thread.native_id << 3 | 6)
            except OSError:
                continue  # it has ended meanwhile
            before = self._cpu.get(thread.ident, used)
            self._cpu[thread.ident] = used
            spent[thread.ident] = max(0, used - before) / 1e9
        return spent

    def _beat(self, at: float) -> None:
        """Asks the loop to come, once it has come the last time."""
        if self._asked is not None:
            return
        self._loop.came(*self._lags[-1:])
        self._asked = at
        try:
            self._worker.loop.call_soon_threadsafe(self._come)
        except RuntimeError:  # the loop is closed
            pass

    def _come(self) -> None:
        """On the loop."""
        began = self._clock()
        at, asked = (began - self._began) / 1e9, self._asked
        if asked is not None:
            self._lags.append((asked, at - asked))
        if at >= self._waits_at and self._worker.server is not None:
            self._waits_at = at + WAITS
            self._waits.look(at, self._worker.server.waiting(self._waits.most))
        self._asked = None
        self._spent_on_loop += self._clock() - began

    def _collects(self, phase: str, info: Mapping[str, Any]) -> None:
        now = self._clock()
        if phase == "start":
            self._paused_at = now
        elif self._paused_at and len(self._pauses) < PAUSES:
            at, seconds = (self._paused_at - self._began) / 1e9, (now - self._paused_at) / 1e9
            label = f"generation {info['generation']}"
            self._pauses.append(Slice(at=at, seconds=seconds, label=label))
            self._paused_at = 0
