"""A server that says what the test wants, when it wants, in pieces if need be."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass

from megahertz.engine import Origin, Pool, PoolSettings

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Asked:
    """One request, as it came."""

    line: str
    fields: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter

    async def say(self, *pieces: bytes) -> None:
        """Sends pieces so that they are read one by one."""
        for piece in pieces:
            self.writer.write(piece)
            for _ in range(4):
                await asyncio.sleep(0)

    async def cut(self) -> None:
        """Ends the connection after what was said."""
        self.writer.close()
        await asyncio.sleep(0)


class Peer:
    """Requests wait in `heard` for the test to answer them."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[Asked] = asyncio.Queue()
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.closed = asyncio.Event()
        self.whole = True
        self.over = asyncio.Event()
        self.answers: bytes | None = None

    async def serve(self, reader, writer) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while True:
                asked = await self._read(reader, writer)
                if self.answers is None:
                    self.heard.put_nowait(asked)
                else:
                    writer.write(self.answers)
                if not self.whole:
                    await self.over.wait()
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.discard(writer)
            self.closed.set()
            writer.close()

    async def _read(self, reader, writer) -> Asked:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.split("\r\n")[:-2]
        fields = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
        asked = Asked(line, fields, b"", writer)
        if self.whole:
            asked.body = await self._body(reader, fields)
        return asked

    async def _body(self, reader, fields) -> bytes:
        if fields.get("transfer-encoding") != "chunked":
            return await reader.readexactly(int(fields.get("content-length", "0")))
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body


async def turns(count: int = 8) -> None:
    """Lets what is ready happen."""
    for _ in range(count):
        await asyncio.sleep(0)


@asynccontextmanager
async def peered(secure=None, tls=None, scheme="http", host="127.0.0.1", names=None, **settings):
    """A server, its origin, and a pool."""
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=secure)
    port = server.sockets[0].getsockname()[1]
    options = {} if names is None else {"names": names}
    pool = Pool(PoolSettings(**settings), tls=tls, **options)
    try:
        yield peer, Origin(scheme, host, port), pool
    finally:
        await pool.aclose()
        peer.over.set()
        await turns()
        server.close()
        for writer in tuple(peer.open):
            writer.close()
        while peer.open:
            peer.closed.clear()
            await peer.closed.wait()
