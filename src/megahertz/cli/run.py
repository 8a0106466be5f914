"""`mhz run`: an application on a port, in one process or several."""

import os
import sys
from pathlib import Path
from typing import Literal

import click

from megahertz.cli.listen import Listen
from megahertz.cli.logs import log_options, logs_of, observed
from megahertz.cli.metrics import address as as_address
from megahertz.cli.serve import Hosting, serve
from megahertz.cli.supervise import Plan, oversee
from megahertz.cli.supervise import memory as as_memory
from megahertz.cli.supervise import pid_file as keep_pid
from megahertz.cli.supervise import workers as as_workers
from megahertz.cli.target import StartFailed, load
from megahertz.cli.watch import GRACE
from megahertz.engine import (
    Lifeline,
    Notifier,
    Service,
    Tls,
    bind_inherited,
    make_visible,
    ticket_secret,
)
from megahertz.errors import BadSettings, MegahertzError
from megahertz.http import App, AsgiHost, service_of
from megahertz.settings import Limits


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address, unix:PATH or systemd:NAME."
)
@click.option("--port", default=8000, show_default=True, help="0 is any that is free.")
@click.option(
    "--workers",
    type=as_workers,
    default="1",
    metavar="N|auto",
    show_default=True,
    help="Processes; auto is one for each processor that may be used (affinity, cgroup).",
)
@click.option(
    "--supervise", is_flag=True, help="Keep one worker under a supervisor too: hot restart."
)
@click.option(
    "--loop",
    type=click.Choice(["auto", "asyncio", "uvloop"]),
    default="auto",
    show_default=True,
    help="auto is uvloop where it is installed.",
)
@click.option("--grace", default=30.0, show_default=True, help="Seconds to finish what runs.")
@click.option(
    "--drain-delay",
    "delay",
    default=0.0,
    show_default=True,
    help="Seconds to go on serving, not ready, before that.",
)
@click.option(
    "--close-spread",
    "spread",
    type=float,
    help="Seconds from the first WebSocket told to go to the last  [default: 1 for 1,000]",
)
@click.option("--health", metavar="PREFIX", help="Answer PREFIX/live and PREFIX/ready.")
@click.option(
    "--worker-memory",
    "memory",
    type=as_memory,
    metavar="SIZE",
    help="Replace a worker that holds more, as in 512MiB.",
)
@click.option(
    "--bind-cpus",
    "binding",
    type=click.Choice(["no", "core", "node"]),
    default="no",
    show_default=True,
    help="Bind each worker to a processor, or to a memory node.",
)
@click.option(
    "--exclusive", is_flag=True, help="Restart a worker only after its predecessor has ended."
)
@click.option("--reload", is_flag=True, help="Development: restart when Python files change.")
@click.option(
    "--reload-dir",
    "folders",
    metavar="DIR",
    multiple=True,
    default=["."],
    show_default=True,
    help="What --reload watches; may be repeated.",
)
@click.option("--pid-file", metavar="FILE", help="Holds the process id while it runs.")
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
@click.option(
    "--trusted-proxy",
    "proxies",
    metavar="ADDRESS",
    multiple=True,
    help="Believe it on who asked: 10.0.0.0/8, ::1, unix; may be repeated.",
)
@click.option(
    "--proxy-header",
    type=click.Choice(["x-forwarded", "forwarded"]),
    default="x-forwarded",
    show_default=True,
    help="What trusted proxies write: X-Forwarded-For and -Proto, or Forwarded.",
)
@click.option("--root-path", default="", help="Where a proxy has mounted an ASGI application.")
@click.option(
    "--lifespan",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_default=True,
    help="of an ASGI application: on has to work, off is not asked.",
)
@click.option(
    "--metrics",
    "metrics",
    type=as_address,
    metavar="ADDRESS:PORT",
    help="Tell Prometheus at /metrics of that address what all workers count.",
)
@click.option(
    "--policy",
    metavar="MODULE:NAME",
    help="A Policy in front of the application; for ASGI also a dict of patterns to policies.",
)
@click.option("--factory", is_flag=True, help="MODULE:APP makes the application.")
@log_options
def run(
    target: str,
    host: str,
    port: int,
    workers: int,
    supervise: bool,
    loop: str,
    grace: float,
    delay: float,
    spread: float | None,
    health: str | None,
    memory: int | None,
    binding: str,
    exclusive: bool,
    reload: bool,
    folders: tuple[str, ...],
    pid_file: str | None,
    limits: tuple[str, ...],
    tls_cert: tuple[str, ...],
    tls_key: tuple[str, ...],
    tls_client_ca: str | None,
    proxies: tuple[str, ...],
    proxy_header: str,
    root_path: str,
    lifespan: Literal["auto", "on", "off"],
    metrics: tuple[str, int] | None,
    policy: str | None,
    factory: bool,
    log_level: str,
    log_format: Literal["console", "json"] | None,
    log_rates: tuple[str, ...],
    access_log: bool,
) -> None:
    """Serve a megahertz App, or any ASGI application.

    \b
    Example:
      mhz run shop.main:app --reload
      mhz run shop.main:app --port 8080 --workers 4
      mhz run shop.main:app --tls-cert shop.pem --tls-key shop.key
      mhz run shop.main:app --access-log --log-format json
      mhz run shop.main:app --workers 4 --metrics 127.0.0.1:9464

    Several certificates: --tls-cert A --tls-key A.key --tls-cert B --tls-key B.key; a client is
    shown the one with the name it asks for. Changed files are in use within 10 s, without a
    restart.

    SIGHUP, or `mhz reload`, restarts the workers without a gap where there is a supervisor:
    with --supervise, or more than one worker.

    Exit codes: 0 after SIGTERM or SIGINT, 3 if the application does not start, 130 after a second
    SIGINT.
    """
    grace = min(grace, GRACE) if reload else grace

    def service() -> Service:
        rules = None if policy is None else load(policy)
        app = load(target, factory=factory)
        made = service_of(app, root_path=root_path, lifespan=lifespan, policy=rules)
        if metrics is not None and isinstance(made, App | AsgiHost):
            made.gates.counts = True
        return observed(made, logs)

    try:
        logs = logs_of(log_level, log_format, log_rates, access_log)
        lifeline = Lifeline.inherited()
        hosting = Hosting(
            loop=loop,
            grace=grace,
            delay=delay,
            spread=spread,
            health=health,
            limits=Limits.parse(limits),
            tls=_tls(tls_cert, tls_key, tls_client_ca),
            proxies=proxies,
            proxy_header=proxy_header,
            counts=metrics is not None,
            metrics=None if lifeline is not None else metrics,
        )
        if lifeline is not None:
            bind_inherited()
            sys.exit(serve(service(), lifeline.sockets, hosting, lifeline=lifeline))
        plan = Plan(
            count=workers,
            memory=memory,
            bind=binding,
            exclusive=exclusive or reload,
            grace=grace,
            delay=delay,
            watched=folders if reload else (),
            metrics=metrics,
        )
        with keep_pid(pid_file):
            if supervise or reload or workers > 1 or memory is not None:
                code = oversee(host, port, plan, secure=hosting.tls is not None)
            else:
                make_visible()
                code = _alone(service(), host, port, hosting)
    except MegahertzError as error:
        raise StartFailed(str(error)) from error
    sys.exit(code)


def _alone(service: Service, host: str, port: int, hosting: Hosting) -> int:
    listen, notifier = Listen(host, port), Notifier(os.environ)
    sockets = listen.alone()

    def announce(loop: str) -> None:
        listen.announce(loop, secure=hosting.tls is not None)
        notifier.ready("1 process serves")
        notifier.watch()

    return serve(
        service,
        sockets,
        hosting,
        lent=listen.lent,
        announce=announce,
        stopping=notifier.stopping,
    )


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
