"""A Redis that says what the test wants, when it wants, in pieces if need be."""

import asyncio
from contextlib import asynccontextmanager

from megahertz.backends import Redis


class Fake:
    """Answers HELLO by itself; everything else waits in `heard` for the test to answer."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[list[bytes]] = asyncio.Queue()
        self.reads: list[int] = []
        self.connections = 0
        self.hello = b"%1\r\n$5\r\nproto\r\n:3\r\n"
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader, writer) -> None:
        self.connections += 1
        self.writers.append(writer)
        waiting = b""
        while octets := await reader.read(1 << 20):
            commands, waiting = commands_of(waiting + octets)
            asked = [command for command in commands if command[0] != b"HELLO"]
            if len(asked) < len(commands):
                writer.write(self.hello)
            if asked:
                self.reads.append(len(asked))
            for command in asked:
                self.heard.put_nowait(command)
        writer.close()

    @property
    def writer(self) -> asyncio.StreamWriter:
        """Of the newest connection."""
        return self.writers[-1]

    async def say(self, *pieces: bytes) -> None:
        """Sends pieces so that they are read one by one."""
        for piece in pieces:
            self.writer.write(piece)
            for _ in range(3):
                await asyncio.sleep(0)

    def cut(self) -> None:
        """Ends the connection after what was said."""
        self.writer.close()


def commands_of(octets: bytes) -> tuple[list[list[bytes]], bytes]:
    """Whole commands, and what is left."""
    found = []
    while octets:
        lines = octets.split(b"\r\n", 1)
        if len(lines) < 2:
            break
        rest, words = lines[1], []
        for _ in range(int(lines[0][1:])):
            head, _, rest = rest.partition(b"\r\n")
            size = int(head[1:] or b"0")
            if len(rest) < size + 2:
                return found, octets
            words.append(rest[:size])
            rest = rest[size + 2 :]
        found.append(words)
        octets = rest
    return found, octets


@asynccontextmanager
async def faked(host="127.0.0.1", secure=None, **options):
    """A fake server and a client of it."""
    fake = Fake()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0, ssl=secure)
    port = server.sockets[0].getsockname()[1]
    client = Redis(host, port, **{"backoff": 0.0, **options})
    try:
        yield fake, client
    finally:
        await client.aclose()
        for _ in range(5):
            await asyncio.sleep(0)  # who has just been connected is served, and so closed below
        server.close()
        for writer in fake.writers:
            writer.close()
        closed = [writer.wait_closed() for writer in fake.writers]
        await asyncio.gather(*closed, return_exceptions=True)
