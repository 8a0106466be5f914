"""A raw server that misbehaves on demand; what it saw is the oracle of the generator's counts."""

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator
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
    """Blocking sockets, a thread a connection, one answer at a time.

    `log` has what it was asked, in order. Threads rather than asyncio's streams: those leave a
    transport behind when they are closed within an accept.
    """

    def __init__(self, behave: Behaviour) -> None:
        self.log: list[Asked] = []
        self.connections = 0
        self._behave = behave
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)
        for sock in self._open.copy():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as reader, contextlib.suppress(OSError):
            while (asked := self._read(reader)) is not None:
                with self._turn:
                    self.log.append(asked)
                    data, then = self._behave(asked)
                sock.sendall(data)
                if then == "hang":
                    self._over.wait(60)
                if then == "reset":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if then != "keep":
                    break
        self._open.discard(sock)

    def _read(self, reader) -> Asked | None:
        first = reader.readline().decode()
        if not first:
            return None
        fields = itertools.takewhile(bytes.strip, iter(reader.readline, b""))
        lines = [field.decode("latin-1").strip() for field in fields]
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return Asked(method, target, headers, reader.read(int(headers.get("content-length", 0))))


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
