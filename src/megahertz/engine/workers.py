"""Worker processes of one port, under a supervisor.

Theory: each worker is a fresh interpreter that binds the port with SO_REUSEPORT, so the kernel
spreads connections and no descriptor is passed. Between the supervisor and a worker there is one
socket pair, the lifeline. The worker writes a byte to it once it accepts; it stops when it reads
the end of it, which the kernel sends however the supervisor died: no orphans, and no
PR_SET_PDEATHSIG (prctl(2): that one is tied to the parent's thread, and lost by a set-uid exec).

Rules: a worker that ends before all have served once ends everything (exit code 3, as gunicorn's
WORKER_BOOT_ERROR): the application is broken, and starting it again helps nobody. After that a
worker that ends is started again, after 0.1 s, then twice as long each time up to 30 s (systemd's
RestartSec begins at 0.1 s); one that lived a minute begins anew.

Rejected: fork (threads and event loops of the parent do not survive it), one accepting parent
that hands sockets over (a hop and a copy for each connection).
"""

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from megahertz.engine.native import ticket_secret
from megahertz.engine.signals import Signals

log = logging.getLogger("megahertz")

COUNT = "MEGAHERTZ_WORKERS"
INDEX = "MEGAHERTZ_WORKER"
LIFELINE = "MEGAHERTZ_LIFELINE"
BUS = "MEGAHERTZ_BUS"

START_FAILED = 3
"""Exit code of a server that never served (uvicorn and gunicorn: 3)."""

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after a second SIGINT, as a shell would say it."""

FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0
STEADY = 60.0
"""Seconds; see Rules."""

SECRET = 256
"""At most so many bytes; see `Lifeline.secret`."""

KILL_AFTER = 4.0
"""Seconds beyond the grace that a worker has to clean up before it is killed; it ends itself after
two if a thread holds it."""


def worker_count() -> int:
    """How many worker processes serve together; 1 outside `mhz run --workers`."""
    return int(os.environ.get(COUNT, "1"))


class Lifeline:
    """A worker's end of its supervisor's socket pair.

    Attributes:
        secret: of TLS session tickets. It comes this way because the environment of a process can
            be read for as long as it lives, and old secrets are to be forgotten.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self.secret = self._socket.recv(SECRET)

    @classmethod
    def inherited(cls) -> "Lifeline | None":
        """The one this process was started with, once; None if it is no worker."""
        descriptor = os.environ.pop(LIFELINE, None)
        return None if descriptor is None else cls(int(descriptor))

    def ready(self) -> None:
        """Tells the supervisor that this worker accepts."""
        self._socket.send(b"r")

    def watch(self, lost: Callable[[], None]) -> None:
        """Calls `lost` once the supervisor is gone, however it went."""
        loop = asyncio.get_running_loop()

        def readable() -> None:
            if not self._socket.recv(64):
                loop.remove_reader(self._socket)
                lost()

        self._socket.setblocking(False)
        loop.add_reader(self._socket, readable)


@dataclass(slots=True)
class Backoff:
    """How long to wait before a worker is started again."""

    delay: float = FIRST_DELAY

    def after(self, lived: float) -> float:
        """Seconds to wait, for a worker that lived so long."""
        if lived >= STEADY:
            self.delay = FIRST_DELAY
        now, self.delay = self.delay, min(self.delay * 2, LONGEST_DELAY)
        return now


@dataclass(slots=True)
class Worker:
    """One running worker process."""

    index: int
    process: asyncio.subprocess.Process
    lifeline: socket.socket
    ready: bool = False


class Supervisor:
    """Keeps `count` workers running until it is told to stop.

    Args:
        command: what each worker runs.
        count: workers.
        grace: seconds that they have to finish what runs.
    """

    def __init__(self, command: Sequence[str], count: int, *, grace: float) -> None:
        self._command = command
        self._count = count
        self._grace = grace
        self._workers: dict[int, Worker] = {}
        self._served = False
        self._failed = False
        self._signals = Signals()
        self._bus = ""
        self._secret = ticket_secret()

    async def run(self, announce: Callable[[], None]) -> int:
        """Runs them; calls `announce` once all of them accept.

        Returns:
            The exit code: 0 after a signal, 3 if the application does not start.
        """
        signals = self._signals
        with signals:
            signals.task = None  # it is the workers that are cancelled, not this
            # Made 0700: only who may signal the workers may speak to them (engine/bus.py).
            with tempfile.TemporaryDirectory(
                prefix="megahertz-", ignore_cleanup_errors=True
            ) as self._bus:
                await self._keep_all(announce)
        if self._failed:
            return START_FAILED
        return INTERRUPTED if signals.urgent.is_set() else 0

    async def _keep_all(self, announce: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(i, announce)) for i in range(self._count)]
            await self._signals.stopped.wait()
            await self._stop(keepers)

    async def _keep(self, index: int, announce: Callable[[], None]) -> None:
        """Starts worker `index`, again and again, until the end."""
        backoff, loop, stopped = Backoff(), asyncio.get_running_loop(), self._signals.stopped
        while not stopped.is_set():
            began = loop.time()
            code = await self._live(index, announce)
            if stopped.is_set():
                return
            if not self._served:
                log.error("worker %d ended %s before it served: giving up", index, _how(code))
                self._failed = True
                stopped.set()
                return
            delay = backoff.after(loop.time() - began)
            log.error("worker %d ended %s: again in %.1f s", index, _how(code), delay)
            try:
                await asyncio.wait_for(stopped.wait(), delay)
            except TimeoutError:
                continue

    async def _live(self, index: int, announce: Callable[[], None]) -> int:
        """One life of one worker; gives its exit code."""
        worker = await self._spawn(index)
        self._workers[index] = worker
        loop = asyncio.get_running_loop()

        def speaks() -> None:
            loop.remove_reader(worker.lifeline)
            if worker.lifeline.recv(64):
                self._ready(worker, announce)

        loop.add_reader(worker.lifeline, speaks)
        if self._signals.stopped.is_set():
            worker.process.terminate()  # it was being started while the others were told
        try:
            return await worker.process.wait()
        finally:
            loop.remove_reader(worker.lifeline)
            worker.lifeline.close()
            del self._workers[index]

    def _ready(self, worker: Worker, announce: Callable[[], None]) -> None:
        worker.ready = True
        everyone = list(self._workers.values())
        if not self._served and len(everyone) == self._count and all(w.ready for w in everyone):
            self._served = True
            announce()

    async def _spawn(self, index: int) -> Worker:
        ours, theirs = socket.socketpair()
        self._secret = ticket_secret(self._secret)
        ours.send(self._secret)
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env=_environment(os.environ, index, self._count, theirs.fileno(), self._bus),
                pass_fds=(theirs.fileno(),),
            )
        return Worker(index, process, ours)

    async def _stop(self, keepers: list[asyncio.Task[None]]) -> None:
        """Asks every worker to stop; kills those that do not, at once after a second SIGINT."""
        self._send(signal.SIGTERM)
        urgent = asyncio.create_task(self._signals.urgent.wait())
        everyone = asyncio.gather(*keepers, return_exceptions=True)
        waits: list[asyncio.Future[Any]] = [urgent, everyone]
        longest = self._grace + KILL_AFTER
        await asyncio.wait(waits, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        urgent.cancel()
        for worker in self._workers.values():
            log.error("worker %d (pid %d) is killed", worker.index, worker.process.pid)
        self._send(signal.SIGKILL)
        await everyone

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            if worker.process.returncode is None:
                worker.process.send_signal(number)


def _environment(
    outer: Mapping[str, str], index: int, count: int, descriptor: int, bus: str
) -> dict[str, str]:
    own = {INDEX: str(index), COUNT: str(count), LIFELINE: str(descriptor), BUS: bus}
    return {**outer, **own}


def _how(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def command(arguments: Sequence[str]) -> list[str]:
    """`mhz` with these arguments, in the interpreter that runs now."""
    return [sys.executable, "-m", "megahertz", *arguments]
