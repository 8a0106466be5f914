"""SIGTERM, SIGINT and SIGHUP, as a server understands them.

                    alone or supervisor                    worker
before it serves    SIGTERM, SIGINT: the start is given up SIGTERM: the same
while it serves     SIGTERM, SIGINT: a graceful stop       SIGTERM: asks for a successor
while it stops      a second SIGINT ends the grace
SIGHUP              what `hung_up` does                    nothing

A terminal sends SIGINT and SIGHUP to a supervisor and its workers alike, so workers leave both to
the supervisor. SIGHUP of a terminal that has gone is SIGTERM: nobody is left to ask for a restart.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any, Self

_CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Catches the signals of the running loop while it is entered.

    Args:
        hung_up: called for SIGHUP.
        replace: of a worker: asks for a successor.

    Attributes:
        stopped: set by the first signal to stop.
        urgent: set by a second SIGINT.
        task: cancelled by the first signal while `starting`, by a second SIGINT after.
        starting: whether the server does not serve yet.
    """

    def __init__(
        self, hung_up: Callable[[], None], *, replace: Callable[[], None] | None = None
    ) -> None:
        self.stopped = asyncio.Event()
        self.urgent = asyncio.Event()
        self.starting = True
        self.task: asyncio.Task[Any] | None = None
        self._hung_up = hung_up
        self._replace = replace
        self._interrupts = 0
        self._terminal = os.isatty(0)

    def __enter__(self) -> Self:
        self.task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in _CAUGHT:
            loop.add_signal_handler(number, self.receive, number)
        return self

    def __exit__(self, *exc: object) -> None:
        loop = asyncio.get_running_loop()
        for number in _CAUGHT:
            loop.remove_signal_handler(number)

    def receive(self, number: int) -> None:
        """What a signal does."""
        if self._replace is not None:
            if number == signal.SIGTERM and not self.starting:
                self._replace()
            elif number == signal.SIGTERM:
                self.stop()
        elif number == signal.SIGHUP and not (self._terminal and not os.isatty(0)):
            self._hung_up()
        else:
            self._interrupts += number == signal.SIGINT
            self.stop()

    def stop(self) -> None:
        """Stops, as a signal would."""
        first = not self.stopped.is_set()
        self.stopped.set()
        if self._interrupts > 1:
            self.urgent.set()
        if self.task is not None and ((self.starting and first) or self.urgent.is_set()):
            self.task.cancel()
