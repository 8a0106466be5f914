"""What systemd hands to a service and wants to hear from it: sd_listen_fds(3), sd_notify(3).

Both are a few environment variables and a datagram; python-systemd would need a C library for them.
"""

import asyncio
import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

from megahertz.errors import BadSettings

FIRST = 3
"""The first descriptor that is handed over (SD_LISTEN_FDS_START)."""

PREFIX = "systemd:"


def activated(
    name: str | None = None, *, environ: MutableMapping[str, str] = os.environ, first: int = FIRST
) -> list[socket.socket]:
    """The listening sockets that this process was started with; none if it was not.

    The variables are taken out: they are not meant for our children.

    Args:
        name: only those that the socket unit calls so (FileDescriptorName=); None: all of them.
        environ: LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES.
        first: the first descriptor.

    Raises:
        BadSettings: none has that name, or one of them does not listen for streams.
    """
    pid, count, names = (environ.pop(f"LISTEN_{key}", "") for key in ("PID", "FDS", "FDNAMES"))
    known = names.split(":") if names else []
    given = range(int(count or 0) if pid == str(os.getpid()) else 0)
    wanted = [n for n in given if name is None or known[n : n + 1] == [name]]
    found = [_listening(first + number) for number in wanted]
    if name is not None and not found:
        raise BadSettings(
            f"{PREFIX}{name}: systemd has handed over no socket of that name"
            f" ({', '.join(known) or 'none at all'}); see FileDescriptorName= in the socket unit"
        )
    return found


def _listening(descriptor: int) -> socket.socket:
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if sock.type != socket.SOCK_STREAM or not listens:
        sock.close()
        raise BadSettings(f"descriptor {descriptor} from systemd is no listening stream socket")
    return sock


class Notifier:
    """Tells systemd how the service is; to nobody where it does not want to hear.

    Args:
        environ: NOTIFY_SOCKET, and WATCHDOG_USEC with WATCHDOG_PID; taken out, for our children.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        environ = {} if environ is None else environ
        path = environ.pop("NOTIFY_SOCKET", "")
        pid, period = environ.pop("WATCHDOG_PID", ""), environ.pop("WATCHDOG_USEC", "")
        # Abstract names are written with an @.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        ours = pid in ("", str(os.getpid()))
        self._interval = int(period) / 2e6 if period and ours else None

    def ready(self, status: str) -> None:
        """Serving, since the start or again after a reload."""
        self._tell(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}")

    def reloading(self) -> None:
        """A hot restart has begun; `ready` ends it."""
        usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={usec}\nSTATUS=hot restart")

    def stopping(self) -> None:
        """Draining."""
        self._tell("STOPPING=1\nSTATUS=draining")

    def watch(self) -> None:
        """From now on the running loop tells twice in each period that it turns."""
        if self._interval is not None and self._address:
            self._tell("WATCHDOG=1")
            asyncio.get_running_loop().call_later(self._interval, self.watch)

    def _tell(self, message: str) -> None:
        if self._address:
            # A manager that does not listen is no fault of ours.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, suppress(OSError):
                sock.sendto(message.encode(), self._address)
