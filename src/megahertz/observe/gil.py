"""How long a thread waits for the interpreter.

Theory: a thread sleeps for a while; what passes between its due time and its first line of Python
is the wait for a processor, which the kernel counts for each thread (run_delay, the second number
of /proc/self/task/TID/schedstat), and the wait for the interpreter's lock. The difference of both
is told. It is what any thread of the process would have waited at that moment, a pool's handler
included: with one busy thread about `sys.getswitchinterval()`, 5 ms; with an idle loop nothing.

Rules: 10 looks a second cost some 0.1 % of a processor, and each takes the lock from whoever has
it once. The timer's slack (50 us, prctl(2), PR_SET_TIMERSLACK) is in the figure. Where the
kernel counts nothing there is no figure.
"""

import threading
import time
from collections.abc import Callable

from megahertz.observe.process import run_delay

PERIOD = 0.1
"""Seconds between two looks."""


class GilWait:
    """Looks while it is open, in a thread.

    Args:
        clock: nanoseconds.
        delay: nanoseconds that the calling thread has waited for a processor.
        sleep: waits so many seconds; True: it is over.

    Attributes:
        seconds: that it has waited, over all looks.
        looks: how many.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        delay: Callable[[], int | None] = run_delay,
        sleep: Callable[[float], bool] | None = None,
    ) -> None:
        self.seconds = 0.0
        self.looks = 0
        self._clock = clock
        self._delay = delay
        self._over = threading.Event()
        self._sleep = sleep or self._wait
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Looks from now on."""
        self._thread = threading.Thread(target=self.run, name="megahertz-gil", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Looks no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def run(self) -> None:
        """Looks until it is closed, or until it finds that the kernel does not tell."""
        while True:
            waited, due = self._delay(), self._clock() + int(PERIOD * 1e9)
            if self._sleep(PERIOD):
                return
            late, now_waited = self._clock() - due, self._delay()
            if waited is None or now_waited is None:
                return
            self.looks += 1
            self.seconds += max(0, late - (now_waited - waited)) / 1e9

    def _wait(self, seconds: float) -> bool:
        # Not Event.wait alone: it takes locks of Python's behind the wake-up, which is what is
        # measured; a sleep comes back with the interpreter's only.
        time.sleep(seconds)
        return self._over.is_set()
