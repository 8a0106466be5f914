"""What one worker knows of itself, told from a thread: also while its loop does not turn."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, ClassVar

import msgspec

from megahertz.engine import Server
from megahertz.observe.kept import Kept, Slow, slowest
from megahertz.observe.live.events import Event, Events
from megahertz.observe.stacks import awaited, culprit, stack

PATIENCE = 0.25
"""Seconds that the loop has to answer; above, it is said to be blocked (asyncio's own
slow_callback_duration: 0.1)."""

MOST = 10
"""Requests that wait, and slow ones, that are told of: a screen full."""

WITHIN = 60.0
"""Seconds in which requests were the slowest."""

SHARE = 0.01
"""Of the loop's time that counting its tasks may take: `all_tasks` of 100,000 is some 25 ms."""


class Held(msgspec.Struct, kw_only=True):
    """A request that waits: for how long (None: nobody knows), and at which line."""

    route: str
    path: str
    seconds: float | None
    where: str


class WorkerState(msgspec.Struct, kw_only=True):
    """At this moment.

    Attributes:
        pid: of the process.
        lag: seconds that the loop took to come to us.
        blocked: the line that holds it up, where it has not come in 0.25 s; then the figures of
            the loop are the last ones known.
        tasks: of the loop; None where nobody has counted.
        statistics: of the server, by name; empty where it is another's.
        held: the requests that wait longest.
        slow: those that took longest in the last minute, where spans are recorded.
        records: whether spans are.
        events: the last warnings and errors, the newest first.
    """

    pid: int
    lag: float
    blocked: str | None = None
    tasks: int | None = None
    statistics: dict[str, float] = {}
    held: list[Held] = []
    slow: list[Slow] = []
    records: bool = False
    events: list[Event] = []


class Worker:
    """Looks at the loop that it is made for.

    Made in the loop's thread.

    Args:
        loop: of the server.
        server: what serves; None under another server.
        clock: seconds.

    Attributes:
        active: the one of this process: the last one opened.
    """

    active: ClassVar["Worker | None"] = None

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        server: Server | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.pid = os.getpid()
        self.loop = loop
        self.thread = threading.get_ident()
        self.server = server
        self._clock = clock
        self._events = Events()
        self._last = WorkerState(pid=os.getpid(), lag=0.0)
        self._counted_at = -1.0
        self._count_took = 0.0

    def open(self) -> "Worker":
        """Keeps events from now on, and is the one of the process."""
        Worker.active = self
        self._events.open()
        return self

    def close(self) -> None:
        """No more."""
        if Worker.active is self:
            Worker.active = None
        self._events.close()

    def state(self) -> WorkerState:
        """At this moment; from any thread but the loop's."""
        come, began = threading.Event(), self._clock()

        def here() -> None:
            self._last = self._seen(self._clock() - began)
            come.set()

        blocked = None
        try:
            self.loop.call_soon_threadsafe(here)
            if not come.wait(PATIENCE):
                blocked = self._holding()
        except RuntimeError:  # the loop is closed
            pass
        state = self._last
        return msgspec.structs.replace(
            state,
            lag=state.lag if blocked is None else self._clock() - began,
            blocked=blocked,
            slow=slowest(MOST, within=WITHIN),
            records=len(Kept.all) > 0,
            events=self._events.events(),
        )

    def _holding(self) -> str:
        frame = sys._current_frames().get(self.thread)
        return culprit(stack(frame))

    def _seen(self, lag: float) -> WorkerState:
        """On the loop."""
        server = self.server
        statistics: dict[str, Any] = {} if server is None else asdict(server.statistics())
        held = [] if server is None else server.waiting(MOST)
        return WorkerState(
            pid=os.getpid(),
            lag=lag,
            tasks=self._tasks(),
            statistics=statistics,
            held=[
                Held(
                    route=one.route,
                    path=one.exchange.path,
                    seconds=one.seconds,
                    where=culprit(awaited(one.task.get_coro())),
                )
                for one in held
            ],
        )

    def _tasks(self) -> int | None:
        now = self._clock()
        if self._counted_at >= 0 and now - self._counted_at < self._count_took / SHARE:
            return self._last.tasks
        count = len(asyncio.all_tasks(self.loop))
        self._counted_at, self._count_took = now, self._clock() - now
        return count
