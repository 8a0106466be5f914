"""`mhz run`: an application on a port, in one process or several."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any, Literal

import click

from megahertz.cli.serve import announce, serve
from megahertz.cli.target import StartFailed, load
from megahertz.engine import Supervisor, Tls, command, reserve, ticket_secret
from megahertz.errors import BadSettings, MegahertzError
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
@click.option("--tls-cert", metavar="FILE", multiple=True, help="PEM chain; speaks TLS with it.")
@click.option("--tls-key", metavar="FILE", multiple=True, help="Its private key, in PEM.")
@click.option("--tls-client-ca", metavar="FILE", help="Roots of certificates clients must show.")
@click.option("--root-path", default="", help="Where a proxy has mounted an ASGI application.")
@click.option(
    "--lifespan",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_default=True,
    help="of an ASGI application: on has to work, off is not asked.",
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
    tls_cert: tuple[str, ...],
    tls_key: tuple[str, ...],
    tls_client_ca: str | None,
    root_path: str,
    lifespan: Literal["auto", "on", "off"],
    factory: bool,
    log_level: str,
) -> None:
    """Serve a megahertz App, or any ASGI application.

    \b
    Example:
      mhz run shop.main:app --port 8080 --workers 4
      mhz run shop.main:app --tls-cert shop.pem --tls-key shop.key

    Several certificates: --tls-cert A --tls-key A.key --tls-cert B --tls-key B.key; a client is
    shown the one with the name it asks for. Changed files are in use within 10 s, without a
    restart.

    Exit codes: 0 after SIGTERM or SIGINT, 3 if the application does not start, 130 after a second
    SIGINT.
    """
    _log_to_stderr(log_level)
    try:
        bounds = Limits.parse(limits)
        tls = _tls(tls_cert, tls_key, tls_client_ca)
        if workers > 1:
            options = ["--loop", loop, "--grace", str(grace), "--log-level", log_level]
            options += ["--root-path", root_path, "--lifespan", lifespan]
            options += ["--factory"] if factory else []
            options += [f"--limit={item}" for item in limits]
            options += [f"--tls-cert={file}" for file in tls_cert]
            options += [f"--tls-key={file}" for file in tls_key]
            options += [f"--tls-client-ca={tls_client_ca}"] if tls_client_ca else []
            code = _supervise([target, *options], host, port, workers, grace, tls is not None)
        else:
            app = load(target, factory=factory)
            service = service_of(app, root_path=root_path, lifespan=lifespan)
            code = serve(service, host, port, loop=loop, grace=grace, limits=bounds, tls=tls)
    except MegahertzError as error:
        raise StartFailed(str(error)) from error
    sys.exit(code)


def _tls(certs: tuple[str, ...], keys: tuple[str, ...], client_ca: str | None) -> Tls | None:
    """Checked here as well: several workers would each say the same."""
    if len(certs) != len(keys):
        raise BadSettings("--tls-cert and --tls-key belong together: give each as often")
    if not certs:
        if client_ca is not None:
            raise BadSettings("--tls-client-ca needs --tls-cert and --tls-key")
        return None
    pairs = [(Path(cert), Path(key)) for cert, key in zip(certs, keys, strict=True)]
    tls = Tls(certificates=pairs, client_ca=None if client_ca is None else Path(client_ca))
    tls.load(ticket_secret())
    return tls


def _supervise(
    arguments: list[str], host: str, port: int, workers: int, grace: float, secure: bool
) -> int:
    """The port is kept by sockets of ours that never listen; each worker binds it for itself."""
    reserved = reserve(host, port)
    port = reserved[0].getsockname()[1]
    run = command(["run", *arguments, "--host", host, "--port", str(port)])
    supervisor = Supervisor(run, workers, grace=grace)

    def ready() -> None:
        announce(host, port, f"{workers} workers", secure=secure)

    return asyncio.run(supervisor.run(ready))


def _log_to_stderr(level: str) -> None:
    handler: Any = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(process)d] %(message)s"))
    log.addHandler(handler)
    log.setLevel(level.upper())
    log.propagate = False
