"""`mhz run`: an application on a port, in one process or several."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Self

import click

from megahertz.cli.target import StartFailed, load
from megahertz.engine import (
    BACKLOG,
    INTERRUPTED,
    Lifeline,
    Server,
    Service,
    Signals,
    Supervisor,
    bind,
    command,
    listen,
    queue_limit,
    reserve,
    url,
    worker_count,
)
from megahertz.errors import MegahertzError
from megahertz.http import service_of

log = logging.getLogger("megahertz")


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="0 is any that is free.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--loop",
    type=click.Choice(["auto", "asyncio", "uvloop"]),
    default="auto",
    show_default=True,
    help="auto is uvloop where it is installed.",
)
@click.option("--grace", default=30.0, show_default=True, help="Seconds to finish what runs.")
@click.option("--factory", is_flag=True, help="MODULE:APP makes the application.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
)
def run(
    target: str,
    host: str,
    port: int,
    workers: int,
    loop: str,
    grace: float,
    factory: bool,
    log_level: str,
) -> None:
    """Serve a megahertz App, or any ASGI application.

    \b
    Example:
      mhz run shop.main:app --port 8080 --workers 4

    Exit codes: 0 after SIGTERM or SIGINT, 3 if the application does not start, 130 after a second
    SIGINT.
    """
    _log_to_stderr(log_level)
    try:
        if workers > 1:
            options = ["--loop", loop, "--grace", str(grace), "--log-level", log_level]
            options += ["--factory"] if factory else []
            code = _supervise([target, *options], host, port, workers, grace)
        else:
            code = _serve(service_of(load(target, factory=factory)), host, port, loop, grace)
    except MegahertzError as error:
        raise StartFailed(str(error)) from error
    sys.exit(code)


def _supervise(arguments: list[str], host: str, port: int, workers: int, grace: float) -> int:
    """The port is kept by sockets of ours that never listen; each worker binds it for itself."""
    reserved = reserve(host, port)
    port = reserved[0].getsockname()[1]
    run = command(["run", *arguments, "--host", host, "--port", str(port)])
    supervisor = Supervisor(run, workers, grace=grace)

    def announce() -> None:
        _announce(host, port, f"{workers} workers")

    return asyncio.run(supervisor.run(announce))


def _serve(service: Service, host: str, port: int, loop: str, grace: float) -> int:
    lifeline = Lifeline.inherited()
    sockets = bind(host, port, shared=worker_count() > 1)
    port = sockets[0].getsockname()[1]
    name, make = _loop(loop)

    def announce() -> None:
        if lifeline is None:
            _announce(host, port, name)
        else:
            lifeline.ready()

    with asyncio.Runner(loop_factory=make) as runner:
        return runner.run(_live(service, sockets, grace, lifeline, announce))


async def _live(
    service: Service,
    sockets: list[socket.socket],
    grace: float,
    lifeline: Lifeline | None,
    announce: Callable[[], None],
) -> int:
    """From start to stop, in one task: what the lifespan enters here, it leaves here."""
    with Signals() as signals:
        if lifeline is not None:
            lifeline.watch(lambda: signals.receive(signal.SIGTERM))
        server = Server(_Listening(service, sockets), sockets)
        try:
            await server.__aenter__()
        except asyncio.CancelledError:
            return 0
        except MegahertzError:
            raise
        except Exception as error:
            log.exception("the application did not start")
            raise StartFailed(f"the application did not start: {error!r}") from error
        signals.starting = False
        # What lives now lives until the end: full collections need not look at it again.
        gc.collect()
        gc.freeze()
        announce()
        await signals.stopped.wait()
        for sock in sockets:
            sock.close()  # new connections are refused, and go to another worker or machine
        try:
            await server.stop(grace)
        except asyncio.CancelledError:
            return INTERRUPTED
    return 0


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


def _announce(host: str, port: int, how: str) -> None:
    if queue_limit() < BACKLOG:
        log.info("net.core.somaxconn cuts the backlog of %d to %d", BACKLOG, queue_limit())
    click.echo(f"megahertz serves {url(host, port)} ({how}); Ctrl-C stops it")


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


def _log_to_stderr(level: str) -> None:
    handler: Any = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(process)d] %(message)s"))
    log.addHandler(handler)
    log.setLevel(level.upper())
    log.propagate = False
