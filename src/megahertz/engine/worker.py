"""One worker process, as its supervisor sees it."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence

from megahertz.engine.lifeline import (
    KEEP,
    LIFELINE,
    READY,
    REPLACE,
    RETIRE,
    SOCKETS,
    STOP,
    heard,
)
from megahertz.engine.plane import PLANE

KILL_AFTER = 4.0
"""Seconds beyond the grace that a worker has to clean up before it is killed; it ends itself after
two if a thread holds it."""


class Worker:
    """A process that has been started.

    Args:
        index: of the place it works in.
        process: its own.
        lifeline: our end.
        replace: called when it asks for a successor.

    Attributes:
        settled: becomes True once it accepts, False if it ends before.
        ended: set once it has.
    """

    def __init__(
        self,
        index: int,
        process: asyncio.subprocess.Process,
        lifeline: socket.socket,
        replace: Callable[["Worker"], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.index = index
        self.pid = process.pid
        self.settled: asyncio.Future[bool] = loop.create_future()
        self.ended = asyncio.Event()
        self._process = process
        self._lifeline = lifeline
        self._replace = replace
        self._born = loop.time()
        loop.add_reader(lifeline, self._heard)

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        index: int,
        *,
        sockets: Sequence[socket.socket],
        environment: Mapping[str, str],
        plane: int,
        secret: bytes,
        replace: Callable[["Worker"], None],
    ) -> "Worker":
        """Starts one: a fresh interpreter, since threads and event loops do not survive a fork.

        Args:
            command: what it runs.
            index: of its place.
            sockets: that it accepts from.
            environment: its own variables beside ours.
            plane: descriptor of the segment that all of them share.
            secret: of TLS session tickets.
            replace: called when it asks for a successor.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.send(secret)
        ours.setblocking(False)
        passed = [sock.fileno() for sock in sockets]
        own = {LIFELINE: str(theirs.fileno()), SOCKETS: ",".join(map(str, passed)), **environment}
        own[PLANE] = str(plane)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command, env={**os.environ, **own}, pass_fds=(theirs.fileno(), plane, *passed)
            )
        return cls(index, process, ours, replace)

    def _heard(self) -> None:
        message = heard(self._lifeline)
        if message == READY and not self.settled.done():
            self.settled.set_result(True)
        elif message == REPLACE:
            self._replace(self)
        elif not message:
            asyncio.get_running_loop().remove_reader(self._lifeline)

    @property
    def age(self) -> float:
        """Seconds since its start."""
        return asyncio.get_running_loop().time() - self._born

    async def wait(self) -> int:
        """Waits for its end; gives its exit code, negative after a signal."""
        code = await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._lifeline)
        self._lifeline.close()
        if not self.settled.done():
            self.settled.set_result(False)
        self.ended.set()
        return code

    def retire(self, grace: float) -> None:
        """Tells it that others accept in its place: it finishes what it has.

        Args:
            grace: seconds for that.
        """
        self._tell(b"%s %f" % (RETIRE, grace))

    def stop(self, *, keep: bool = False) -> None:
        """Tells it to stop.

        Args:
            keep: the sockets stay open: somebody else answers what queues.
        """
        self._tell(KEEP if keep else STOP)

    def _tell(self, message: bytes) -> None:
        """Also gives a start up."""
        with contextlib.suppress(OSError):  # it has ended
            self._lifeline.send(message)
        if not (self.settled.done() or self.ended.is_set()):
            self._signal(signal.SIGTERM)  # it may be importing, and hear nothing

    def kill(self) -> None:
        """Ends it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            self._process.send_signal(number)


def how(code: int) -> str:
    """How a process ended, in words."""
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def command(arguments: Sequence[str]) -> list[str]:
    """`mhz` with these arguments, in the interpreter that runs now."""
    return [sys.executable, "-m", "megahertz", *arguments]
