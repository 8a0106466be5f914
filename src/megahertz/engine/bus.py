"""Messages between the workers of one port, over unix sockets in a directory of their supervisor's.

Theory: each worker listens on a socket named by its index, and connects to another's when it has
something for it. No process stands between, so none is a bottleneck, and a worker that is started
again is found under its old name.

Rules: a message goes to every other worker or is counted as lost, when a worker does not read as
fast as the others write. To a worker that is not there nothing is lost.

Rejected: unix datagrams (net.unix.max_dgram_qlen lets 10 wait by default, and 200 KiB is the most
that one may have); the supervisor as a relay (a hop, and a process that must not be slow).
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

from megahertz.engine.workers import BUS, INDEX, worker_count
from megahertz.errors import LocalProtocolError

HEAD = 4
"""Bytes of a message's length in front of it."""

MOST_BYTES = 16 * 1024 * 1024
"""Of a message (uvicorn's ws_max_size; Redis would take 512 MiB)."""

MOST_UNSENT = 16 * 1024 * 1024
"""Bytes to a worker that does not read, above which messages to it are lost (Redis' pub/sub:
client-output-buffer-limit 32 MiB)."""


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
        index: of this worker.
        count: of workers.
    """

    def __init__(self, directory: Path, name: str, index: int, count: int) -> None:
        self._paths = [directory / f"{name}.{number}" for number in range(count)]
        self._index = index
        self._links: dict[int, asyncio.Transport] = {}
        self._inlets: set[asyncio.BaseTransport] = set()
        self._server: asyncio.Server | None = None
        self.lost = 0

    @classmethod
    def inherited(cls, name: str) -> Self | None:
        """That of the workers this process is one of; None if it serves alone."""
        directory = os.environ.get(BUS)
        if directory is None or worker_count() < 2:
            return None
        return cls(Path(directory), name, int(os.environ[INDEX]), worker_count())

    async def open(self, receive: Callable[[bytes], None]) -> None:
        """Listens; `receive` is called with each message of another worker."""
        path = self._paths[self._index]
        path.unlink(missing_ok=True)  # of this worker's last life
        loop = asyncio.get_running_loop()

        def inlet() -> _Inlet:
            return _Inlet(receive, self._inlets)

        self._server = await loop.create_unix_server(inlet, str(path))

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
        for index in range(len(self._paths)):
            link = None if index == self._index else await self._link(index)
            if link is None:
                continue
            if link.get_write_buffer_size() > MOST_UNSENT:
                self.lost += 1
            else:
                link.write(framed)

    async def _link(self, index: int) -> asyncio.Transport | None:
        link = self._links.get(index)
        if link is not None and not link.is_closing():
            return link
        loop = asyncio.get_running_loop()
        try:
            made, _ = await loop.create_unix_connection(asyncio.Protocol, str(self._paths[index]))
        except OSError:
            return None
        self._links[index] = made
        return made

    async def close(self) -> None:
        """Leaves; what is not sent yet is lost."""
        for link in (*self._links.values(), *self._inlets):
            link.close()
        if self._server is not None:
            self._server.close()
            self._paths[self._index].unlink(missing_ok=True)
