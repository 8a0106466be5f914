"""One process that serves: from the bound port to the last thread."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Self

from megahertz.cli.inspect import inspected
from megahertz.cli.metrics import told_at
from megahertz.cli.target import StartFailed
from megahertz.engine import (
    INTERRUPTED,
    Health,
    Lifeline,
    Server,
    Service,
    Signals,
    Tls,
    listen,
    plane,
)
from megahertz.errors import MegahertzError
from megahertz.observe import Sampler
from megahertz.settings import Limits

log = logging.getLogger("megahertz")

GC_THRESHOLD = (50_000, 10, 10)
"""Before the first collection: 700 waiting requests are no garbage (CPython's default is 700 net
allocations; with it 5 % of the CPU of 34,000 orders a second went into looking at them)."""

POOLS = ("megahertz", "AnyIO", "asyncio")
"""How threads are called that run `def` handlers: ours, Starlette's, `asyncio.to_thread`'s."""

LAST_CALL = 2.0
"""Seconds beyond the grace for threads to end. Python itself waits for a `def` handler that never
returns for ever (concurrent.futures joins its threads at exit), and so would the deployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosting:
    """How a process serves, whatever it serves.

    Attributes:
        loop: auto, asyncio or uvloop.
        grace: seconds to finish what runs.
        delay: seconds to go on serving after the signal to stop.
        spread: seconds from the first to the last WebSocket that is told to go; None: as many as
            there are.
        health: prefix of the routes for orchestrators.
        limits: what is accepted from peers.
        tls: spoken on every socket.
        proxies: believed when they say who asked them.
        proxy_header: that they say it by.
        counts: requests, and figures of the process.
        metrics: the address that this process tells them at; None: another one does, or nobody.
    """

    loop: str = "auto"
    grace: float = 30.0
    delay: float = 0.0
    spread: float | None = None
    health: str | None = None
    limits: Limits
    tls: Tls | None = None
    proxies: tuple[str, ...] = ()
    proxy_header: str = "x-forwarded"
    counts: bool = False
    metrics: tuple[str, int] | None = None


def serve(
    service: Service,
    sockets: list[socket.socket],
    hosting: Hosting,
    *,
    lifeline: Lifeline | None = None,
    lent: bool = False,
    announce: Callable[[str], None] = lambda loop: None,
    stopping: Callable[[], None] = lambda: None,
) -> int:
    """Serves until a signal, or until the supervisor says so or ends.

    Args:
        service: the application.
        sockets: bound; closed at the end.
        hosting: how.
        lifeline: to the supervisor.
        lent: somebody else goes on with the sockets.
        announce: called with the loop's name once it serves.
        stopping: called when it no longer wants traffic.

    Returns:
        The exit code.

    Raises:
        StartFailed: the loop is not installed, or the application does not start.
    """
    name, make = _loop(hosting.loop)
    _raise_file_limit()
    health = Health(hosting.health)
    server = Server(
        _Listening(service, sockets, health, hosting),
        sockets,
        limits=hosting.limits,
        tls=hosting.tls,
        secret=None if lifeline is None else lifeline.secret,
        proxies=hosting.proxies,
        proxy_header=hosting.proxy_header,
    )
    end = _End(grace=hosting.grace, delay=hosting.delay, spread=hosting.spread, keep=lent)

    def ready() -> None:
        announce(name)
        if lifeline is not None:
            lifeline.ready()

    def drain() -> None:
        health.draining = True
        stopping()

    with asyncio.Runner(loop_factory=make) as runner:
        code = runner.run(_live(server, end, lifeline, ready, drain))
        _last_call(code)
    return code


@dataclass(slots=True)
class _End:
    """How it will end; the supervisor may say otherwise."""

    grace: float
    delay: float
    spread: float | None
    keep: bool
    retired: bool = False

    def retire(self, grace: float) -> None:
        """A successor serves already: to balancers nothing has changed."""
        self.grace, self.delay, self.keep, self.retired = grace, 0.0, True, True


def _raise_file_limit() -> None:
    """As many open files as we may have, as Go does: 1,024 is the soft limit of select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # not ours to raise: then it stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _live(
    server: Server,
    end: _End,
    lifeline: Lifeline | None,
    ready: Callable[[], None],
    drain: Callable[[], None],
) -> int:
    """From start to stop, in one task: what the lifespan enters here, it leaves here."""
    with Signals(_explain, replace=lifeline.replace if lifeline else None) as signals:
        if lifeline is not None:
            _obey(lifeline, signals, end)
        try:
            await _start(server)
        except asyncio.CancelledError:
            return 0
        signals.starting = False
        with inspected(server):
            ready()
            await signals.stopped.wait()
        if not end.retired:
            drain()
        code = 0
        try:
            end.grace -= await server.retire(end.grace)
            await asyncio.sleep(end.delay)
        except asyncio.CancelledError:
            code, end.grace = INTERRUPTED, 0.0
        try:
            await server.stop(end.grace, spread=end.spread, handed_over=end.keep)
        except asyncio.CancelledError:
            return INTERRUPTED
    return code


def _obey(lifeline: Lifeline, signals: Signals, end: _End) -> None:
    def stop(keep: bool) -> None:
        end.keep = end.keep or keep
        signals.stop()

    def retire(grace: float) -> None:
        end.retire(grace)
        signals.stop()

    lifeline.watch(stop, retire)


def _explain() -> None:
    log.warning("SIGHUP: this process serves alone; `mhz run --supervise` restarts without a gap")


async def _start(server: Server) -> None:
    try:
        await server.__aenter__()
    except MegahertzError:
        raise
    except Exception as error:
        log.exception("the application did not start")
        raise StartFailed(f"the application did not start: {error!r}") from error
    # What lives now lives until the end: full collections need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


def _last_call(code: int) -> None:
    """Ends the process, with the code it has earned, if a handler's thread holds it later on."""

    def end() -> None:
        stuck = [thread.name for thread in threading.enumerate() if thread.name.startswith(POOLS)]
        if not stuck:
            return  # something else takes its time, and may: atexit functions, threads of a user's
        log.warning("still running after the grace, and left behind: %s", ", ".join(stuck))
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)

    timer = threading.Timer(LAST_CALL, end)
    timer.daemon = True
    timer.start()


class _Listening:
    """The service, which begins to listen only once it is open: until then nobody connects."""

    def __init__(
        self, service: Service, sockets: list[socket.socket], health: Health, hosting: Hosting
    ) -> None:
        self._service = service
        self._sockets = sockets
        self._hosting = hosting
        self._open = contextlib.AsyncExitStack()
        self.routes = [*health.routes, *service.routes]
        self.fallback = service.fallback
        self.gate = getattr(service, "gate", None)
        self.retire = getattr(service, "retire", None)
        self.refusals = service.refusals
        self.encode = service.encode
        self.failed = service.failed

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            shared = plane()
            if self._hosting.counts and shared is not None:
                await stack.enter_async_context(Sampler(shared))
                if self._hosting.metrics is not None:
                    await stack.enter_async_context(told_at(*self._hosting.metrics, shared))
            await self._service.__aenter__()
            listen(self._sockets)
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> bool | None:
        async with self._open:
            return await self._service.__aexit__(*exc)


def _loop(name: str) -> tuple[str, Callable[[], asyncio.AbstractEventLoop] | None]:
    """The name and the maker of the loop; None makes asyncio's own."""
    if name == "asyncio" or (name == "auto" and find_spec("uvloop") is None):
        return "asyncio", None
    try:
        import uvloop
    except ImportError as error:
        raise StartFailed(
            "uvloop is not installed: pip install uvloop, or --loop asyncio"
        ) from error
    return "uvloop", uvloop.new_event_loop
