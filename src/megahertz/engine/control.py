"""A supervisor's ear for `mhz reload`: it answers what a signal could not.

The address is the process id, among the abstract names of unix(7): it needs no folder and is gone
with the process. Anybody may connect, so the supervisor asks the kernel who it is (SO_PEERCRED),
and so does the client.
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Self

from megahertz.errors import BadSettings

log = logging.getLogger("megahertz")

RELOAD = b"reload\n"
LINE = 1024
"""Bytes of an answer."""

_CREDENTIALS = struct.Struct("3i")


def _address(pid: int) -> str:
    return f"\0megahertz/{pid}"


def who(sock: socket.socket) -> tuple[int, int]:
    """Process and user at the other end of a unix socket."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _ = _CREDENTIALS.unpack(data)
    return pid, user


class Control:
    """Listens while it is entered.

    Args:
        reload: a hot restart; gives what went wrong, or None.
    """

    def __init__(self, reload: Callable[[], Awaitable[str | None]]) -> None:
        self._reload = reload
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_unix_server(self._serve, _address(os.getpid()))
        except OSError:
            # Containers of a pod share abstract names, and each has a process 1.
            log.info("mhz reload cannot ask this supervisor: use SIGHUP")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock: socket.socket = writer.get_extra_info("socket")
        try:
            asked, (_, user) = await reader.readline(), who(sock)
            if user not in (0, os.geteuid()):
                writer.write(b"not yours\n")
            elif asked == RELOAD:
                writer.write((await self._reload() or "").encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError):
            pass  # it has gone, or says more than anybody should
        finally:
            writer.close()


def ask_reload(pid: int, *, timeout: float) -> str | None:
    """A hot restart by the supervisor `pid`; returns once it is done.

    Returns:
        What went wrong; None if nothing.

    Raises:
        BadSettings: there is no such supervisor, or it does not answer in time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(_address(pid))
            if who(sock)[0] != pid:
                raise BadSettings(f"process {pid} is not who listens under its name")
            sock.sendall(RELOAD)
            with sock.makefile("rb") as file:
                answer = file.readline(LINE)
        except TimeoutError as error:
            raise BadSettings(f"supervisor {pid} has not answered within {timeout:g} s") from error
        except OSError as error:
            raise BadSettings(f"process {pid} is no supervisor of `mhz run`") from error
    if not answer.endswith(b"\n"):
        return "the supervisor has ended meanwhile"
    return answer.decode().strip() or None


def is_supervisor(pid: int) -> bool:
    """Whether a supervisor of that number listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        return sock.connect_ex(_address(pid)) == 0
