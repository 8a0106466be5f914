"""Which running process a command is about: by its id, by its port, by its file."""

from pathlib import Path

from megahertz.cli.reload import pid_in
from megahertz.engine import Plane, listeners, look
from megahertz.errors import BackendError, BadSettings, MegahertzError

MOST = 65_535
"""Ports."""


def server_at(target: str) -> tuple[int, Plane]:
    """A process of the server, and the plane of all of its workers.

    Args:
        target: a process id, a port (`8000`; `:8000` for certain), or a file with a process id. A
            server's process of that number goes first.

    Raises:
        BadSettings: nothing listens there, or the file holds no process id.
        BackendError: there is no such process, or it is no server.
    """
    number = target.removeprefix(":")
    if not number.isdecimal():
        pid = pid_in(Path(target))
        return pid, look(pid)
    is_port = int(number) <= MOST
    told = f"no server of yours listens on port {number}" if is_port else f"no process {number}"
    why: MegahertzError = BadSettings(told)
    if number == target:
        try:
            return int(number), look(int(number))
        except BackendError as error:
            why = error if Path("/proc", number).exists() else why
    for pid in listeners(int(number)) if is_port else ():
        try:
            return pid, look(pid)
        except BackendError:
            continue
    raise why
