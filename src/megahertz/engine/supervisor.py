"""Worker processes of one port, under a supervisor that holds their sockets.

Theory: each place for a worker has a listening socket of its own, all of them on one port
(SO_REUSEPORT), so the kernel spreads connections. The supervisor makes the sockets, holds them and
never accepts; a worker inherits those of its place. What queues in a socket therefore outlives the
worker: a successor, of a hot restart or after a crash, answers it. A socket that is closed or that
leaves the group would reset its queue instead, which is what users of nginx and Envoy met.

Rules:
- A hot restart starts every successor beside its predecessor. Once all of them accept, the old ones
  stop accepting and drain; if one does not start, all of them are ended and the old ones stay.
- Where a worker holds what only one may hold (a journal), `exclusive` ends the old one first and
  starts its successor then, place by place; requests queue meanwhile.
- A worker that ends before all have served once ends everything (exit code 3, as gunicorn's
  WORKER_BOOT_ERROR): the application is broken, and starting it again helps nobody. After that a
  worker that ends is started again, after 0.1 s, then twice as long each time up to 30 s.
- A place whose worker keeps dying closes its queue, so that the kernel asks the others.
- For development, `changes` tells when to restart, and a worker that ends waits for the next one.

Rejected: fork (threads and event loops of the parent do not survive it); one accepting parent
that hands sockets over (a hop and a copy for each connection); passing descriptors from the old
worker to the new by SCM_RIGHTS (Envoy: a worker that was killed passes nothing).
"""

import asyncio
import contextlib
import logging
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from megahertz.engine.backoff import Backoff
from megahertz.engine.bus import forget
from megahertz.engine.control import Control
from megahertz.engine.exits import INTERRUPTED, START_FAILED
from megahertz.engine.lifeline import BUS, COUNT, INDEX
from megahertz.engine.memory import resident
from megahertz.engine.native import Plane, ticket_secret
from megahertz.engine.plane import for_workers
from megahertz.engine.processors import CPUS
from megahertz.engine.signals import Signals
from megahertz.engine.sockets import silence
from megahertz.engine.systemd import Notifier
from megahertz.engine.worker import KILL_AFTER, Worker, how

log = logging.getLogger("megahertz")

PATIENCE = 1.0
"""Seconds of delay above which the queue of a place is closed: a client has given up on a
connection attempt's first second too (RFC 6298 section 2, the initial retransmission timeout)."""

WEIGH = 1.0
"""Seconds between two looks at the workers' memory: a read of one line of /proc each (granian's
--rss-sample-interval: 30)."""

Changes = Callable[[asyncio.Event], AsyncIterator[Collection[str]]]

Beside = Callable[[Plane], AbstractAsyncContextManager[object]]


def no_more(plane: Plane) -> AbstractAsyncContextManager[object]:
    """Nothing beside the workers."""
    return contextlib.nullcontext()


START = 300.0
"""Seconds that new workers have to begin to serve beside the old ones (systemd's TimeoutStartSec is
90; applications that load a model take longer)."""

STARTS, FAILURES = "worker_starts_total", "worker_failures_total"
"""What is counted in the workers' plane."""

NOT_STARTED = "the new workers do not start: the old ones stay"


@dataclass(slots=True)
class Place:
    """Where one worker works: its sockets, whether other places have others, and who is there."""

    index: int
    sockets: Sequence[socket.socket]
    alone: bool
    worker: Worker | None = None
    backoff: Backoff = field(default_factory=Backoff)
    light: Backoff = field(default_factory=lambda: Backoff(1.0))


class Supervisor:
    """Keeps a worker in every place until it is told to stop.

    Args:
        command: what each worker runs.
        sockets: of each place, bound; the workers begin to listen.
        grace: seconds that workers have to finish what runs.
        delay: seconds that they go on serving after they are told to stop.
        exclusive: a successor starts after its predecessor has ended.
        lent: the sockets are somebody else's, who goes on with them when we have stopped.
        cpus: the processors of each place; empty: all.
        memory: bytes in memory above which a worker is replaced.
        notifier: of systemd.
        changes: gives what has changed, until the event is set; each asks for a restart.
        beside: entered with the workers' plane for as long as we run.
    """

    def __init__(
        self,
        command: Sequence[str],
        sockets: Sequence[Sequence[socket.socket]],
        *,
        grace: float,
        delay: float = 0.0,
        exclusive: bool = False,
        lent: bool = False,
        cpus: Sequence[Sequence[int]] = (),
        memory: int | None = None,
        notifier: Notifier | None = None,
        changes: Changes | None = None,
        beside: Beside = no_more,
    ) -> None:
        self._command = command
        self._cpus = cpus or [[]] * len(sockets)
        self._memory = memory
        self._notifier = notifier or Notifier()
        self._changes = changes
        self._beside = beside
        alone = all(group is not sockets[0] for group in sockets[1:])
        self._places = [Place(index, group, alone) for index, group in enumerate(sockets)]
        self._grace = grace
        self._delay = delay
        self._exclusive = exclusive
        self._lent = lent
        self._alive: set[Worker] = set()
        self._renewing = asyncio.Lock()
        self._next: asyncio.Task[str | None] | None = None
        self._served = False
        self._failed = False
        self._bus = ""
        self._secret = ticket_secret()
        self._plane = for_workers(len(sockets))
        for name in (STARTS, FAILURES):
            self._plane.count(name, 0)
        self.signals = Signals(self._hung_up)

    async def run(self, announce: Callable[[], None]) -> int:
        """Runs them; calls `announce` once all of them accept.

        Returns:
            The exit code: 0 after a signal, 3 if the application does not start.
        """
        signals = self.signals
        with signals:
            signals.task = None  # it is the workers that are cancelled, not this
            # Made 0700: only who may signal the workers may speak to them (engine/bus.py).
            with tempfile.TemporaryDirectory(
                prefix="megahertz-", ignore_cleanup_errors=True
            ) as self._bus:
                async with (
                    Control(self.reload),
                    self._beside(self._plane),
                    asyncio.TaskGroup() as self._group,
                ):
                    self._notifier.watch()
                    self._go(self._begin(announce))
                    if self._changes is not None:
                        self._go(self._follow(self._changes))
                    await signals.stopped.wait()
                    self._notifier.stopping()
                    await self._stop()
        if self._failed:
            return START_FAILED
        return INTERRUPTED if signals.urgent.is_set() else 0

    async def _begin(self, announce: Callable[[], None]) -> None:
        async with self._renewing:
            workers = [await self._seat(place) for place in self._places]
            self._served = all([await worker.settled for worker in workers])
        if self._changes is not None:
            self._served = True  # or will, after a change
        if self._served and not self.signals.stopped.is_set():
            self._notifier.ready(self._status())
            announce()
            if self._memory is not None:
                await self._weigh(self._memory)

    async def _follow(self, changes: Changes) -> None:
        async for names in changes(self.signals.stopped):
            log.info("%s changed", ", ".join(sorted(names)))
            for worker in self._alive:
                if not worker.settled.done():
                    worker.kill()  # a start that hangs would hold up the next one
            self._hung_up()

    async def reload(self) -> str | None:
        """A hot restart; None if it went well, or else what happened.

        Who asks while one is under way gets one more after it, together with all who ask till then.
        """
        if self._next is None:
            self._next = self._group.create_task(self._reload())
        return await asyncio.shield(self._next)

    async def _reload(self) -> str | None:
        async with self._renewing:
            self._next = None
            if self.signals.stopped.is_set() or not self._served:
                return "it does not serve"
            log.info("hot restart of %d workers", len(self._places))
            self._notifier.reloading()
            error = await self._renew(self._places)
            self._notifier.ready(error or self._status())
        return self._told(error)

    @staticmethod
    def _told(error: str | None) -> str | None:
        if error is not None:
            log.error("%s", error)
        return error

    def _status(self) -> str:
        return f"{len(self._places)} workers serve"

    def _hung_up(self) -> None:
        self._group.create_task(self.reload())

    def _asked(self, worker: Worker) -> None:
        """A worker asks for a successor."""
        place = self._places[worker.index]
        if place.worker is worker:
            log.info("worker %d (pid %d) is replaced", worker.index, worker.pid)
            self._go(self._replace(place, worker))

    async def _replace(self, place: Place, worker: Worker) -> None:
        async with self._renewing:
            if place.worker is worker and not self.signals.stopped.is_set():
                self._told(await self._renew([place]))

    async def _weigh(self, most: int) -> None:
        """Replaces workers that hold more memory than they may, for as long as we run."""
        while not self.signals.stopped.is_set():
            for place in self._places:
                worker = place.worker
                if worker is None or (held := resident(worker.pid)) <= most:
                    continue
                if worker.age < place.light.delay:
                    continue  # a fresh one is as heavy: no use in hurrying
                place.light.after(worker.age)
                log.warning("worker %d holds %d MiB: it is replaced", place.index, held >> 20)
                await self._replace(place, worker)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.signals.stopped.wait(), WEIGH)

    def _renew(self, places: Sequence[Place]) -> Awaitable[str | None]:
        return self._one_by_one(places) if self._exclusive else self._together(places)

    async def _together(self, places: Sequence[Place]) -> str | None:
        fresh = [await self._spawn(place) for place in places]
        if not await _all_serve(fresh):
            for worker in fresh:
                self._retire(worker)
            return NOT_STARTED
        for place, worker in zip(places, fresh, strict=True):
            old, place.worker, place.backoff = place.worker, worker, Backoff()
            if old is not None:
                self._retire(old)
            if worker.ended.is_set():
                self._go(self._vacated(place, "early", worker.age))
        return None

    async def _one_by_one(self, places: Sequence[Place]) -> str | None:
        for place in places:
            old, place.worker = place.worker, None
            if old is not None:
                await self._retire(old)
            worker = await self._seat(place)
            if not await _all_serve([worker]):
                return f"the successor of worker {place.index} does not start"
        return None

    async def _seat(self, place: Place) -> Worker:
        worker = await self._spawn(place)
        if place.worker is None:
            place.worker = worker
        else:
            self._retire(worker)  # a hot restart has filled the place meanwhile
        return place.worker

    async def _spawn(self, place: Place) -> Worker:
        self._secret = ticket_secret(self._secret)
        own = {
            INDEX: str(place.index),
            COUNT: str(len(self._places)),
            BUS: self._bus,
            CPUS: ",".join(map(str, self._cpus[place.index])),
        }
        worker = await Worker.start(
            self._command,
            place.index,
            sockets=place.sockets,
            environment=own,
            plane=self._plane.fileno() or -1,
            secret=self._secret,
            replace=self._asked,
        )
        self._alive.add(worker)
        self._plane.count(STARTS)
        self._go(self._attend(place, worker))
        if self.signals.stopped.is_set():
            worker.stop(keep=self._lent)  # it was being started while the others were told
        return worker

    async def _attend(self, place: Place, worker: Worker) -> None:
        """Waits for the end of a worker, and for its successor where it leaves a place."""
        code = await worker.wait()
        self._alive.discard(worker)
        forget(self._bus, worker.pid)
        self._plane.bury(worker.pid)
        if place.worker is not worker or self.signals.stopped.is_set():
            return
        if not self._served and self._changes is None:
            log.error("worker %d ended %s before it served: giving up", worker.index, how(code))
            self._failed = True
            self.signals.stop()
            return
        await self._vacated(place, how(code), worker.age)

    async def _vacated(self, place: Place, ended: str, lived: float) -> None:
        place.worker = None
        self._plane.count(FAILURES)
        if self._changes is not None:
            log.error("worker %d ended %s: it waits for a change", place.index, ended)
            return
        delay = place.backoff.after(lived)
        log.error("worker %d ended %s: again in %.1f s", place.index, ended, delay)
        if delay > PATIENCE and place.alone and not self._lent:
            silence(place.sockets)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.signals.stopped.wait(), delay)
        if not self.signals.stopped.is_set() and place.worker is None:
            await self._seat(place)

    def _retire(self, worker: Worker) -> asyncio.Task[None]:
        worker.retire(self._grace)
        return self._go(self._see_off(worker))

    def _go(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._group.create_task(work)

    async def _see_off(self, worker: Worker) -> None:
        """Kills a worker that outlasts its grace."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(worker.ended.wait(), self._grace + KILL_AFTER)
        self._kill(worker)
        await worker.ended.wait()

    def _kill(self, worker: Worker) -> None:
        if not worker.ended.is_set():
            log.error("worker %d (pid %d) is killed", worker.index, worker.pid)
            worker.kill()

    async def _stop(self) -> None:
        """Asks every worker to stop; kills those that do not, at once after a second SIGINT."""
        alive = list(self._alive)
        for worker in alive:
            worker.stop(keep=self._lent)
        urgent = asyncio.ensure_future(self.signals.urgent.wait())
        everyone = asyncio.gather(*(worker.ended.wait() for worker in alive))
        longest = self._delay + self._grace + KILL_AFTER
        waits: list[asyncio.Future[Any]] = [urgent, everyone]
        await asyncio.wait(waits, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        urgent.cancel()
        for worker in self._alive:
            self._kill(worker)
        await everyone


async def _all_serve(workers: Sequence[Worker]) -> bool:
    """Waits for their starts, for a bounded time; whether all of them went well."""
    await asyncio.wait([worker.settled for worker in workers], timeout=START)
    return all(worker.settled.done() and worker.settled.result() for worker in workers)
