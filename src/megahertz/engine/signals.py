"""SIGTERM and SIGINT, as the server understands them.

before it serves    either cancels the start
while it serves     either asks for a graceful stop
while it stops      a second SIGINT ends the grace; more SIGTERM change nothing
"""

import asyncio
import signal
from typing import Any, Self

_CAUGHT = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Catches both signals of the running loop while it is entered.

    Attributes:
        stopped: set by the first signal.
        urgent: set by a second SIGINT.
        task: cancelled by the first signal while `starting`, by a second SIGINT after.
        starting: whether the server does not serve yet.
    """

    def __init__(self) -> None:
        self.stopped = asyncio.Event()
        self.urgent = asyncio.Event()
        self.starting = True
        self.task: asyncio.Task[Any] | None = None
        self._interrupts = 0

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
        """What a signal does; also called for a lost supervisor, as if it had sent SIGTERM."""
        self._interrupts += number == signal.SIGINT
        first = not self.stopped.is_set()
        self.stopped.set()
        if self._interrupts > 1:
            self.urgent.set()
        if self.task is not None and ((self.starting and first) or self.urgent.is_set()):
            self.task.cancel()
