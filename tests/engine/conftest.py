"""A service of plain functions on a real socket, and a client that sees every byte."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from megahertz.engine import Answer, JsonEncoder, Route, Server
from megahertz.settings import Limits


class Plain:
    """A service made of routes; remembers what failed."""

    def __init__(self, routes, fallback=None, refusals=None, encode=None):
        self.encode = encode or JsonEncoder(msgspec.json.encode)
        self.routes = routes
        self.fallback = fallback
        self.refusals = refusals or {}
        self.failures: list[BaseException] = []
        self.entered = self.left = 0

    def failed(self, exchange, error: BaseException) -> Answer:
        self.failures.append(error)
        status = getattr(error, "status_code", getattr(error, "status", 500))
        return Answer(f"{type(error).__name__}: {error}", status)

    async def __aenter__(self):
        self.entered += 1

    async def __aexit__(self, *exc):
        self.left += 1


class Peer:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def get(self, path: str, *fields: str) -> "Reply":
        lines = [f"GET {path} HTTP/1.1", "Host: test", *fields, "", ""]
        await self.send("\r\n".join(lines).encode())
        return await self.reply()

    async def reply(self, *, head_only: bool = False) -> "Reply":
        """The next response, read by its own framing."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")[:-2]
        fields = dict(line.lower().split(": ", 1) for line in lines)
        code = int(status.split(" ")[1])
        body = b""
        if head_only or code in (100, 204, 304):
            pass
        elif fields.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            assert await self.reader.readexactly(2) == b"\r\n"
        elif "content-length" in fields:
            body = await self.reader.readexactly(int(fields["content-length"]))
        else:
            body = await self.reader.read()
        return Reply(code, fields, body)

    async def closed(self) -> bytes:
        """Everything up to the end of the connection, which must come."""
        return await asyncio.wait_for(self.reader.read(), 20)

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Leaves by RST."""
        sock = self.writer.get_extra_info("socket")
        linger = (1).to_bytes(4, "little") + bytes(4)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


class Reply(msgspec.Struct):
    status: int
    fields: dict[str, str]
    body: bytes


class Site:
    """A running server and the way to it."""

    def __init__(self, server: Server, service: Plain, port: int):
        self.server, self.service, self.port = server, service, port
        self.peers: list[Peer] = []

    async def peer(self, **options: Any) -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **options)
        self.peers.append(Peer(reader, writer))
        return self.peers[-1]


@pytest.fixture
def serve() -> Callable[..., contextlib.AbstractAsyncContextManager[Site]]:
    """`async with serve({"GET /": handler}, head_timeout=1) as site`."""

    @contextlib.asynccontextmanager
    async def run(
        handlers: dict[str, Any] | None = None,
        *,
        fallback=None,
        refusals=None,
        tls=None,
        secret=None,
        encode=None,
        **limits: Any,
    ) -> AsyncIterator[Site]:
        routes = []
        for line, handler in (handlers or {}).items():
            options = {}
            if isinstance(handler, tuple):
                handler, options = handler
            method, pattern = line.split()
            routes.append(Route(methods=(method,), pattern=pattern, endpoint=handler, **options))
        service = Plain(routes, fallback, refusals, encode)
        with socket.create_server(("127.0.0.1", 0), backlog=1000) as sock:
            bounds = Limits(**limits)
            async with Server(service, [sock], limits=bounds, tls=tls, secret=secret) as server:
                site = Site(server, service, sock.getsockname()[1])
                try:
                    yield site
                finally:
                    for peer in site.peers:
                        peer.close()

    return run


async def pieces(exchange):
    """A streamed body, as it comes."""
    while (piece := exchange.read()) != b"":
        if piece is None:
            await exchange.readable()
        else:
            yield piece


async def whole(exchange) -> bytes:
    """All of it."""
    return b"".join([piece async for piece in pieces(exchange)])


def identity(folder, *names, ca):
    """A chain and a key of `ca` for these names, as files."""
    issued = ca.issue_cert(*names)
    chain, key = folder / f"{names[0]}.pem", folder / f"{names[0]}.key"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return chain, key


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Turns the loop until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it waits for is not ours to signal
            await asyncio.sleep(0)


VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors"


def vectors(name: str) -> list:
    """Published data beside the repository; CI must have it, a clone elsewhere may not."""
    path = VECTORS / name
    if not path.exists() and not os.environ.get("CI"):
        pytest.skip(f"{path} is not here: the published vectors are data beside the repository")
    return json.loads(path.read_text())
