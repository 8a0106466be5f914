"""Who holds up the loop: a thread that looks at the loop's stack when the loop is late.

Theory: the loop beats, by a timer, twice a threshold. A thread looks as often; when a beat is
overdue by the threshold, the frame that the loop's thread is in is what blocks it, and is told at
once, since it may never come back. asyncio's own `slow_callback_duration` tells afterwards, and
only the callback's name.

Rules: a turn longer than one and a half thresholds is seen, unless it is native code that keeps
the interpreter to itself: then it shows in the lag alone. So does a process that gets no processor:
its loop is late too, but where it is, it waits, or it would run and does not. The kernel
counts for each thread how long it ran and how long it waited to (`process.py`): what it waited is
taken off, and while it waits nobody is blamed.
"""

import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import FrameType

from megahertz.observe import process
from megahertz.observe.process import Schedule
from megahertz.observe.stacks import culprit, is_waiting, stack

Frames = Callable[[], Mapping[int, FrameType]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A turn of the loop that takes too long.

    Attributes:
        seconds: since the last beat, when it was seen.
        where: the innermost line of the user's own code.
        stack: all lines, the innermost first.
    """

    seconds: float
    where: str
    stack: tuple[str, ...]


class Watchdog:
    """Looks at the thread that it is made in.

    Args:
        report: called in the watchdog's thread, once for each turn that is too long.
        threshold: seconds of a turn that are too long.
        clock: seconds.
        frames: of all threads.
        schedule: of the watched thread; None where nobody knows.
    """

    def __init__(
        self,
        report: Callable[[Blocked], object],
        *,
        threshold: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
        frames: Frames = sys._current_frames,
        schedule: Callable[[], Schedule | None] | None = None,
    ) -> None:
        self._schedule = schedule or partial(process.schedule, threading.get_native_id())
        self._seen: Schedule | None = None
        self._since: tuple[float, float] = (-1.0, 0.0)
        self._report = report
        self._threshold = threshold
        self._clock = clock
        self._frames = frames
        self._watched = threading.get_ident()
        self._beat = clock()
        self._told = -1.0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def period(self) -> float:
        """Seconds between two beats, and between two looks."""
        return self._threshold / 2

    def beat(self) -> None:
        """The loop is here."""
        self._beat = self._clock()

    def look(self) -> None:
        """Tells of the turn that is going on, if it is too long and not told yet."""
        beat = self._beat
        late = self._clock() - beat - self._starved(beat)
        if late < self._threshold + self.period or self._told == beat:
            return
        frame = self._frames().get(self._watched)
        if frame is None or is_waiting(frame):
            return
        lines = stack(frame)
        if beat != self._beat:
            return  # it has come back while we looked
        self._told = beat
        self._report(Blocked(seconds=late, where=culprit(lines), stack=lines))

    def _starved(self, beat: float) -> float:
        """Seconds since a beat that the thread would have run and did not; endless while it does
        not."""
        before, seen = self._seen, self._schedule()
        self._seen = seen
        if seen is None:
            return 0.0
        if self._since[0] != beat:
            self._since = (beat, seen.waited)
        if before is not None and seen.wants and seen.ran - before.ran < self.period / 10:
            return math.inf
        return seen.waited - self._since[1]

    def start(self) -> None:
        """Looks from now on, in a thread."""
        self.beat()
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="megahertz-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Looks no more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self.period):
            self.look()
