"""Messages between the workers of one port, over unix sockets in a directory of their supervisor's.

Theory: each worker listens on a socket named by its process id, and connects to another's when it
has something for it. No process stands between, so none is a bottleneck. Who is there is what the
directory lists: workers that drain and their successors are there together.

Rules: a message goes to every other worker or is counted as lost, when a worker does not read as
fast as the others write. To a worker that is not there nothing is lost.

Rejected: unix datagrams (net.unix.max_dgram_qlen lets 10 wait by default, and 200 KiB is the most
that one may have); the supervisor as a relay (a hop, and a process that must not be slow).
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from megahertz.engine.lifeline import BUS
from megahertz.errors import LocalProtocolError

HEAD = 4
"""Bytes of a message's length in front of it."""

MOST_BYTES = 16 * 1024 * 1024
"""Of a message (uvicorn's ws_max_size; Redis would take 512 MiB)."""

MOST_UNSENT = 16 * 1024 * 1024
"""Bytes to a worker that does not read, above which messages to it are lost (Redis' pub/sub:
client-output-buffer-limit 32 MiB)."""

TICK = 20_000_000
"""Nanoseconds that a time of change may be behind (CONFIG_HZ=100: 10 ms)."""


class _Inlet(asyncio.BufferedProtocol):
    """One worker's messages coming in."""

    def __init__(self, receive: Callable[[bytes], None], known: set[asyncio.BaseTransport]) -> None:
        self._receive = receive
        self._known = known
        self._buffer = bytearray(HEAD)
        self._at = 0
        self._in_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._known.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._known.discard(self._transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._at :]

    def buffer_updated(self, nbytes: int) -> None:
        self._at += nbytes
        if self._at < len(self._buffer):
            return
        whole, self._at = bytes(self._buffer), 0
        if self._in_body:
            self._in_body, self._buffer = False, bytearray(HEAD)
            self._receive(whole)
        else:
            # One of 0 bytes does not exist: an empty buffer would read the end.
            self._in_body = True
            self._buffer = bytearray(min(int.from_bytes(whole, "big"), MOST_BYTES) or 1)


class Bus:
    """The other workers of this port.

    Args:
        directory: the supervisor's.
        name: which bus; an application may have several.
        member: who we are, in file names.
    """

    def __init__(self, directory: Path, name: str, member: str) -> None:
        self._directory = directory
        self._prefix = f"{name}."
        self._own = self._prefix + member
        self._links: dict[str, asyncio.Transport] = {}
        self._inlets: set[asyncio.BaseTransport] = set()
        self._server: asyncio.Server | None = None
        self._others: list[str] = []
        self._listed = 0
        self.lost = 0

    @classmethod
    def inherited(cls, name: str) -> Self | None:
        """That of the workers this process is one of; None if it serves alone."""
        directory = os.environ.get(BUS)
        return None if directory is None else cls(Path(directory), name, str(os.getpid()))

    async def open(self, receive: Callable[[bytes], None]) -> None:
        """Listens; `receive` is called with each message of another worker."""
        loop = asyncio.get_running_loop()

        def inlet() -> _Inlet:
            return _Inlet(receive, self._inlets)

        self._server = await loop.create_unix_server(inlet, str(self._directory / self._own))

    async def publish(self, message: bytes) -> None:
        """Sends to every other worker; does not wait for any to read.

        Raises:
            LocalProtocolError: the message is larger than 16 MiB.
        """
        if not 0 < len(message) <= MOST_BYTES:
            raise LocalProtocolError(
                f"a message of {len(message)} bytes: other workers take 1 to {MOST_BYTES}"
            )
        framed = len(message).to_bytes(HEAD, "big") + message
        for name in self._members():
            link = await self._link(name)
            if link is None:
                continue
            if link.get_write_buffer_size() > MOST_UNSENT:
                self.lost += 1
            else:
                link.write(framed)

    def _members(self) -> list[str]:
        """The others; the directory is read again once it has changed."""
        changed = self._directory.stat().st_mtime_ns
        if changed != self._listed:
            names = os.listdir(self._directory)
            self._others = [n for n in names if n.startswith(self._prefix) and n != self._own]
            # The kernel's clock ticks: what changes in the same tick would not be seen.
            self._listed = changed if time.time_ns() - changed > TICK else 0
            for name in self._links.keys() - set(self._others):
                self._links.pop(name).close()
        return self._others

    async def _link(self, name: str) -> asyncio.Transport | None:
        link = self._links.get(name)
        if link is not None and not link.is_closing():
            return link
        loop = asyncio.get_running_loop()
        path = str(self._directory / name)
        try:
            made, _ = await loop.create_unix_connection(asyncio.Protocol, path)
        except OSError:
            return None
        self._links[name] = made
        return made

    async def close(self) -> None:
        """Leaves; what is not sent yet is lost."""
        for link in (*self._links.values(), *self._inlets):
            link.close()
        if self._server is not None:
            self._server.close()
            (self._directory / self._own).unlink(missing_ok=True)


def forget(directory: str, member: int) -> None:
    """Takes a process that has ended off every bus."""
    for path in Path(directory).glob(f"*.{member}"):
        path.unlink(missing_ok=True)
