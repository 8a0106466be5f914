"""One process that serves: from the bound port to the last thread."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Self

import click

from megahertz.cli.target import StartFailed
from megahertz.engine import (
    BACKLOG,
    INTERRUPTED,
    Lifeline,
    Server,
    Service,
    Signals,
    Tls,
    bind,
    listen,
    queue_limit,
    release,
    url,
    worker_count,
)
from megahertz.errors import MegahertzError
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


def serve(
    service: Service,
    host: str,
    port: int,
    *,
    loop: str,
    grace: float,
    limits: Limits,
    tls: Tls | None = None,
) -> int:
    """Serves until a signal, or the end of the supervisor.

    Returns:
        The exit code.

    Raises:
        StartFailed: the loop is not installed, or the application does not start.
        BadSettings: the port cannot be had.
    """
    lifeline = Lifeline.inherited()
    sockets = bind(host, port, shared=worker_count() > 1)
    if port == 0 and sockets[0].family != socket.AF_UNIX:
        port = sockets[0].getsockname()[1]
    name, make = _loop(loop)

    _raise_file_limit()
    server = Server(
        _Listening(service, sockets),
        sockets,
        limits=limits,
        tls=tls,
        secret=None if lifeline is None else lifeline.secret,
    )

    def ready() -> None:
        if lifeline is None:
            announce(host, port, name, secure=tls is not None)
        else:
            lifeline.ready()

    with asyncio.Runner(loop_factory=make) as runner:
        code = runner.run(_live(server, sockets, grace, lifeline, ready))
        _last_call(code)
    return code


def _raise_file_limit() -> None:
    """As many open files as we may have, as Go does: 1,024 is the soft limit of select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # not ours to raise: then it stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _live(
    server: Server,
    sockets: list[socket.socket],
    grace: float,
    lifeline: Lifeline | None,
    ready: Callable[[], None],
) -> int:
    """From start to stop, in one task: what the lifespan enters here, it leaves here."""
    with Signals() as signals:
        if lifeline is not None:
            lifeline.watch(lambda: signals.receive(signal.SIGTERM))
        try:
            await _start(server)
        except asyncio.CancelledError:
            return 0
        signals.starting = False
        ready()
        await signals.stopped.wait()
        release(sockets)
        try:
            await server.stop(grace)
        except asyncio.CancelledError:
            return INTERRUPTED
    return 0


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

    def __init__(self, service: Service, sockets: list[socket.socket]) -> None:
        self._service = service
        self._sockets = sockets
        self.routes = service.routes
        self.fallback = service.fallback
        self.refusals = service.refusals
        self.encode = service.encode
        self.failed = service.failed

    async def __aenter__(self) -> Self:
        await self._service.__aenter__()
        listen(self._sockets)
        return self

    async def __aexit__(self, *exc: object) -> bool | None:
        return await self._service.__aexit__(*exc)


def announce(host: str, port: int, how: str, *, secure: bool = False) -> None:
    """Says where, once it is true."""
    if queue_limit() < BACKLOG:
        log.info("net.core.somaxconn cuts the backlog of %d to %d", BACKLOG, queue_limit())
    click.echo(f"megahertz serves {url(host, port, secure=secure)} ({how}); Ctrl-C stops it")


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
