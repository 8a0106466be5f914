"""`mhz run`: an application on a port, in one process or several."""

import asyncio
import logging
import sys
from typing import Any

import click

from megahertz.cli.serve import announce, serve
from megahertz.cli.target import StartFailed, load
from megahertz.engine import Supervisor, command, reserve
from megahertz.errors import MegahertzError
from megahertz.http import service_of
from megahertz.settings import Limits

log = logging.getLogger("megahertz")


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address, or unix:PATH.")
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
@click.option(
    "--limit",
    "limits",
    metavar="NAME=VALUE",
    multiple=True,
    help="A bound of the engine, as in requests=1000; may be repeated.",
)
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
    limits: tuple[str, ...],
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
        bounds = Limits.parse(limits)
        if workers > 1:
            options = ["--loop", loop, "--grace", str(grace), "--log-level", log_level]
            options += ["--factory"] if factory else []
            options += [f"--limit={item}" for item in limits]
            code = _supervise([target, *options], host, port, workers, grace)
        else:
            service = service_of(load(target, factory=factory))
            code = serve(service, host, port, loop=loop, grace=grace, limits=bounds)
    except MegahertzError as error:
        raise StartFailed(str(error)) from error
    sys.exit(code)


def _supervise(arguments: list[str], host: str, port: int, workers: int, grace: float) -> int:
    """The port is kept by sockets of ours that never listen; each worker binds it for itself."""
    reserved = reserve(host, port)
    port = reserved[0].getsockname()[1]
    run = command(["run", *arguments, "--host", host, "--port", str(port)])
    supervisor = Supervisor(run, workers, grace=grace)

    return asyncio.run(supervisor.run(lambda: announce(host, port, f"{workers} workers")))


def _log_to_stderr(level: str) -> None:
    handler: Any = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(process)d] %(message)s"))
    log.addHandler(handler)
    log.setLevel(level.upper())
    log.propagate = False
