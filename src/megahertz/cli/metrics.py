"""`mhz run --metrics ADDRESS:PORT`: figures on a port of their own, which no user can reach.

Who listens is the supervisor, or the one process where there is none: a worker that is restarted,
or that is busy, is not asked.
"""

import contextlib
import logging
from collections.abc import AsyncIterator

import click

from megahertz.engine import Plane, Server, bind, listen, url
from megahertz.errors import BadSettings
from megahertz.http import App, metrics_of
from megahertz.settings import Limits

log = logging.getLogger("megahertz")

PATH = "/metrics"

CONNECTIONS = 64
"""Scrapers at once; Prometheus keeps one open for each target."""


def address(text: str) -> tuple[str, int]:
    """`127.0.0.1:9464` or `:9464`; the port is the one that OpenTelemetry's exporters take."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise click.BadParameter(f"{text!r}: an address and a port, as in 127.0.0.1:9464")
    return host.strip("[]") or "127.0.0.1", int(port)


@contextlib.asynccontextmanager
async def told_at(host: str, port: int, plane: Plane) -> AsyncIterator[None]:
    """Tells what is in a plane, on a port of its own, while it is entered.

    Raises:
        BadSettings: the address cannot be had.
    """
    app = App(title="metrics", openapi_url=None, docs_url=None)
    app.get(PATH)(metrics_of(lambda: plane))
    try:
        sockets = bind(host, port)
    except BadSettings as error:
        raise BadSettings(f"--metrics: {error}") from error
    listen(sockets)
    where = url(*sockets[0].getsockname()[:2])
    async with Server(app, sockets, limits=Limits(connections=CONNECTIONS)) as server:
        log.info("metrics are at %s%s", where, PATH)
        try:
            yield
        finally:
            await server.stop(0.0)
