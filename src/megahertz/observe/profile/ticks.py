"""Samples of the loop's thread whenever the process has used so much processor time.

Theory: a thread that wants to look needs the interpreter, and gets it where the loop lets go of it:
a callback of 0.2 ms is over by then, and what one sees is an idle loop (callbacks of 0.15 and 0.3
ms were seen with a fourth of their share, whatever the switch interval). A signal is handled by the
interpreter between two instructions of whatever runs, so short callbacks are seen as often as they
deserve.

Rules:
- Only where the loop is in the main thread, which handles signals, and nobody else uses SIGPROF.
- System calls go on by themselves (`siginterrupt`).
- At the end the timer is stopped first, from any thread, and the signal ignored afterwards: its
  default would end the process, and one may still be on its way.
"""

import asyncio
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

from megahertz.observe.profile.behalf import Behalf, Behalves
from megahertz.observe.profile.table import Line, lines

WAITING = 10_000
"""Samples between two looks of the recorder's, who takes them: 20 s of them at 500 a second."""

Sample = tuple[Behalf, tuple[Line, ...], float]


class Ticks:
    """Of one loop.

    Args:
        loop: of the main thread.
        thread: its number.
        behalves: tell whose it is.
        period: seconds of processor time; the kernel's own clock is as coarse as 1 to 10 ms.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, thread: int, behalves: Behalves, period: float
    ) -> None:
        self._loop = loop
        self._behalves = behalves
        self._period = period
        self._can = thread == threading.main_thread().ident
        self._samples: deque[Sample] = deque(maxlen=WAITING)
        self._used = 0
        self._open = False
        self.spent = 0

    @property
    def works(self) -> bool:
        """Whether it has begun."""
        return self._open

    def begin(self) -> None:
        """Asks the loop to begin; it does once it turns."""
        if self._can:
            self._ask(self._begin)

    def end(self) -> None:
        """No more samples."""
        self._can = False
        if self._open:
            self._open = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._ask(self._ignore)

    def take(self) -> list[Sample]:
        """Those since the last time: whose, where, and seconds of processor time."""
        return [self._samples.popleft() for _ in range(len(self._samples))]

    def _ask(self, call: Callable[[], Any]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop is closed
            pass

    def _begin(self) -> None:
        free = (signal.SIG_DFL, signal.SIG_IGN)
        if not self._can or signal.getsignal(signal.SIGPROF) not in free:
            return
        self._used = time.thread_time_ns()
        signal.signal(signal.SIGPROF, self._tick)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, self._period, self._period)
        self._open = True
        if not self._can:  # it has ended meanwhile
            self.end()

    def _ignore(self) -> None:
        if signal.getsignal(signal.SIGPROF) == self._tick:
            signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def _tick(self, number: int, frame: FrameType | None) -> None:
        began = time.thread_time_ns()
        used, self._used = began - self._used, began
        behalf = self._behalves.of_task(asyncio.current_task(self._loop), frame)
        self._samples.append((behalf, lines(frame), used / 1e9))
        self.spent += time.thread_time_ns() - began
