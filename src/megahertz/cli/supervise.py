"""Several processes that serve as one, under a supervisor."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from megahertz.cli.listen import Listen
from megahertz.cli.metrics import told_at
from megahertz.cli.watch import watch
from megahertz.engine import (
    Notifier,
    bindings,
    command,
    listen,
    nodes,
    size,
    usable,
)
from megahertz.errors import BadSettings


def workers(text: str) -> int:
    """A number of workers, or `auto`."""
    if text == "auto":
        return usable()
    if not text.isdecimal() or int(text) == 0:
        raise click.BadParameter(f"{text!r}: a number from 1 on, or auto")
    return int(text)


def memory(text: str) -> int:
    """Bytes, as in `512MiB`."""
    try:
        return size(text)
    except BadSettings as error:
        raise click.BadParameter(str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the supervisor sees to.

    Attributes:
        count: processes.
        memory: bytes in memory above which one is replaced.
        bind: core, node or no.
        exclusive: a successor starts after its predecessor has ended.
        grace: seconds to finish what runs.
        delay: seconds to go on serving after the signal to stop.
        watched: folders whose Python files restart the workers when they change.
        metrics: the address that figures are told at.
    """

    count: int
    memory: int | None
    bind: str
    exclusive: bool
    grace: float
    delay: float
    watched: Sequence[str] = ()
    metrics: tuple[str, int] | None = None


def oversee(host: str, port: int, plan: Plan, *, secure: bool) -> int:
    """Runs this very command line in each worker.

    Returns:
        The exit code.

    Raises:
        BadSettings: the address cannot be had.
    """
    from megahertz.engine import Supervisor, no_more  # the workers import this module as well

    address = Listen(host, port)
    sockets = address.each(plan.count)
    if plan.watched:
        for group in sockets:
            listen(group)  # a browser waits for code that does not start yet
    supervisor = Supervisor(
        command(sys.argv[1:]),
        sockets,
        grace=plan.grace,
        delay=plan.delay,
        exclusive=plan.exclusive,
        lent=address.lent,
        cpus=bindings(plan.count, plan.bind, nodes()),
        memory=plan.memory,
        notifier=Notifier(os.environ),
        changes=watch(plan.watched) if plan.watched else None,
        beside=no_more if plan.metrics is None else partial(told_at, *plan.metrics),
    )
    how = f"{plan.count} worker{'s' if plan.count > 1 else ''}"
    return asyncio.run(supervisor.run(lambda: address.announce(how, secure=secure)))


@contextlib.contextmanager
def pid_file(path: str | None) -> Iterator[None]:
    """Keeps our process id in a file, if one is asked for."""
    if path is None:
        yield
        return
    file = Path(path)
    try:
        file.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise BadSettings(f"--pid-file {path}: {error.strerror}") from error
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
