"""`mhz reload`: a hot restart, and how it went."""

import sys
from pathlib import Path

import click

from megahertz.engine import ask_reload, is_supervisor, listeners
from megahertz.errors import BadSettings


@click.command()
@click.argument("target", metavar="PID|PORT|PIDFILE")
@click.option(
    "--timeout", default=330.0, show_default=True, help="Seconds to wait for the new workers."
)
def reload(target: str, timeout: float) -> None:
    """Restart the workers of a running `mhz run` without a gap.

    New workers start with the code that is on the disk now. Once all of them accept, the old ones
    finish what they have. If a new one does not start, the old ones stay.

    \b
    Example:
      mhz reload 8000               who serves port 8000 (a process id of that number goes first)
      mhz reload :8000              the port for certain
      mhz reload /run/shop.pid      from --pid-file

    Exit codes: 0 once the new workers serve, 1 if the old ones stay, 2 if nothing was found.
    """
    try:
        error = ask_reload(_supervisor(target), timeout=timeout)
    except BadSettings as problem:
        raise click.UsageError(str(problem)) from problem
    if error is not None:
        click.echo(f"Error: {error}; its log says why", err=True)
        sys.exit(1)
    click.echo("the new workers serve")


def _supervisor(target: str) -> int:
    port = target.removeprefix(":")
    if not port.isdecimal():
        return pid_in(Path(target))
    if port == target and (is_supervisor(int(target)) or int(port) > 65_535):
        return int(target)
    found = listeners(int(port))
    for pid in found:
        if is_supervisor(pid):
            return pid
    if not found:
        raise BadSettings(f"nothing of yours listens on port {port}, and no supervisor is {port}")
    raise BadSettings(
        f"port {port} is served by process {found[0]}, without a supervisor: start it with "
        "mhz run --supervise"
    )


def pid_in(path: Path) -> int:
    """The process id that a file holds.

    Raises:
        BadSettings: it cannot be read, or holds none.
    """
    try:
        return int(path.read_text())
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise BadSettings(f"{path} holds no process id") from error
