"""A raw server that misbehaves on demand; what it saw is the oracle of the generator's counts."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Literal, NamedTuple

import pytest


class Asked(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Then = Literal["keep", "close", "reset", "hang"]
Behaviour = Callable[[Asked], tuple[bytes, Then]]


class Server:
    """An asyncio server in a thread of its own; `log` has what it was asked, in order."""

    def __init__(self, behave: Behaviour) -> None:
        self.log: list[Asked] = []
        self.connections = 0
        self._behave = behave
        self._ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        self.port, self._loop, self._over = self._ready.result(10)
        self.url = f"http://127.0.0.1:{self.port}/"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    async def _run(self) -> None:
        over = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        port = server.sockets[0].getsockname()[1]
        self._ready.set_result((port, asyncio.get_running_loop(), over))
        await over.wait()
        server.close()
        await asyncio.sleep(0)  # what was just accepted begins, so that it can be cancelled
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (asked := await self._read(reader)) is not None:
                self.log.append(asked)
                data, then = self._behave(asked)
                writer.write(data)
                if then == "hang":
                    await asyncio.Event().wait()
                if then == "reset":
                    linger = struct.pack("ii", 1, 0)
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                if then != "keep":
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> Asked | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head[:-4].split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Asked(method, target, headers, body)


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], Server]]:
    servers = []

    def start(behave: Behaviour) -> Server:
        servers.append(Server(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
