"""One request of an application that another ASGI server serves: an exchange over its messages.

Theory: handlers, layers and dependencies are compiled against the engine's `Exchange`. Where
uvicorn, Starlette's test client or a middleware calls the application instead, this class stands
in for it: what is sent at once goes into a queue that one task empties by `send`, and one task
alone listens to `receive`, so that a client that leaves cancels its handler here as well.

Rules: every public name of `Exchange` is here, and means the same (`tests/http/test_guest.py`
compares the two). Nothing more is received than was asked for: a sender is slowed by a handler
that does not read.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any
from urllib.parse import quote

from megahertz.engine import Answer
from megahertz.errors import BodyRefused, DeadlineExceeded, HTTPError
from megahertz.http.fields import Fields, Raw, pairs
from megahertz.http.guest_socket import GuestRooms, GuestSocket

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HIGH_WATER = 64 * 1024
"""Unsent bytes above which `write` asks to wait (asyncio's transports: 64 KiB)."""

PIECE = 256 * 1024
"""Bytes of a file that are read and sent at once (Starlette: 64 KiB; aiohttp: 256 KiB)."""

_LENGTHLESS = (204, 304)
"""RFC 9110 section 8.6."""


class GuestExchange:
    """As `megahertz.engine.Exchange`.

    Args:
        scope: of `http` or `websocket`.
        receive, send: the host's.
        rooms: that its socket may join.
        upgraded: is told of its socket.
    """

    def __init__(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
        rooms: GuestRooms,
        upgraded: Callable[[GuestSocket], object],
    ) -> None:
        self.scope = scope
        self._rooms, self._upgraded = rooms, upgraded
        self.params: tuple[str, ...] = ()
        self.started = self.closed = self.streamed = False
        self.left = False
        self.status: int | None = None
        self.socket: GuestSocket | None = None
        self._receive, self._send = receive, send
        self._outgoing: deque[tuple[Message, int]] = deque()
        self._unsent = 0
        self._pump: asyncio.Task[None] | None = None
        self._relieved = asyncio.Event()
        self._pieces: deque[bytes] = deque()
        self._whole: bytes | None = None
        self._complete = False
        self._taken = asyncio.Event()
        self._news: list[asyncio.Future[None]] = []
        self._leaving: list[asyncio.Future[None]] = []
        self._broken: BodyRefused | None = None
        self._lost: Callable[[], object] = bool
        self._lenient = False
        self._tied: Any = None

    @property
    def method(self) -> str:
        return str(self.scope.get("method", "GET"))

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @property
    def raw_path(self) -> bytes:
        raw = self.scope.get("raw_path")
        return bytes(raw) if raw else _quoted(self.path)

    @property
    def inner_path(self) -> bytes:
        """What is left of `raw_path` behind the place where the application is mounted."""
        root, raw = self.scope.get("root_path", ""), self.raw_path
        if not root or not self.path.startswith(root):
            return raw
        prefix = _quoted(root)
        # A prefix that was escaped in another way than we would: then the rest is, too.
        inner = raw[len(prefix) :] if raw.startswith(prefix) else _quoted(self.path[len(root) :])
        return inner or b"/"

    @property
    def query(self) -> bytes:
        return bytes(self.scope.get("query_string", b""))

    def query_values(self, names: tuple[str, ...]) -> tuple[str | None, ...]:
        fields = Fields(pairs(self.query))
        return tuple(fields.get(name) for name in names)

    @property
    def version(self) -> str:
        return str(self.scope.get("http_version", "1.1"))

    @property
    def headers(self) -> Raw:
        return [(bytes(name), bytes(value)) for name, value in self.scope["headers"]]

    def header(self, name: str) -> str | None:
        wanted = name.encode("latin-1")
        found = (value for field, value in self.scope["headers"] if field == wanted)
        value = next(found, None)
        return None if value is None else bytes(value).decode("latin-1")

    @property
    def peer(self) -> tuple[str, int] | None:
        client = self.scope.get("client")
        return None if client is None else (str(client[0]), int(client[1]))

    @property
    def local(self) -> tuple[str, int] | None:
        server = self.scope.get("server")
        return None if server is None else (str(server[0]), int(server[1] or 0))

    @property
    def secure(self) -> bool:
        return self.scope.get("scheme") in ("https", "wss")

    @property
    def peer_certificates(self) -> list[bytes]:
        return []

    @property
    def connection(self) -> int:
        return id(self._receive)

    def lend(self, extensions: MutableMapping[str, Any]) -> dict[str, Any]:
        """A scope for an application that we host in our turn: its client's going cancels
        nothing, as `asgi_scope` has it."""
        self._lost = bool
        self._lenient = True
        return {**self.scope, "extensions": extensions}

    @property
    def websocket(self) -> bool:
        return bool(self.scope["type"] == "websocket")

    # What comes in.

    async def collect(self, most: int) -> None:
        """Reads the body whole.

        Raises:
            HTTPError: it is larger than `most` (413).
        """
        parts: list[bytes] = []
        size = 0
        while not self._complete and not self.left:
            parts.append(self._take(await self._receive()))
            size += len(parts[-1])
            if size > most:
                raise HTTPError(413)
        self._whole = b"".join(parts)

    async def listen(self, most: int, lost: Callable[[], object]) -> None:
        """Receives until the client has gone, which `lost` is told."""
        self._lost = bool if self._lenient else lost
        size = 0
        while not self.left:
            piece = self._take(await self._receive())
            size += len(piece)
            if piece:
                self._pieces.append(piece)
            if size > most:
                self._broken = BodyRefused(413, "the body is larger than allowed")
                self._complete = True
            self._tell()
            if not self._complete:
                await self._taken.wait()
                self._taken.clear()

    def _take(self, message: Message) -> bytes:
        if message["type"] == "http.disconnect":
            self.lose()
            return b""
        self._complete = not message.get("more_body", False)
        return bytes(message.get("body", b""))

    def lose(self) -> None:
        """The client has gone; of an answer that is complete nobody cares."""
        self.left = True
        if not self.closed:
            self.closed = True
            self._lost()
        self._relieved.set()
        self._news += self._leaving
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, []
        for future in news:
            if not future.done():
                future.set_result(None)

    @property
    def body(self) -> bytes:
        if self._whole is None:
            raise RuntimeError("the body is on its way: read() it")
        return self._whole

    def read(self) -> bytes | None:
        if self._whole is not None:
            whole, self._whole = self._whole, b""
            return whole
        if self._pieces:
            return self._pieces.popleft()
        if self._broken is not None:
            raise self._broken
        if self._complete:
            return b""
        if self.closed:
            raise RuntimeError("the answer is complete, or its peer has gone")
        self._taken.set()
        return None

    def tied(self, make: Callable[[], Any]) -> Any:
        # A host tells of no connection: what would live as long as one lives as long as this.
        if self._tied is None:
            self._tied = make()
        return self._tied

    def untie(self) -> None:
        """The request is over."""
        if self._tied is not None:
            self._tied.end()

    def gone(self) -> "asyncio.Future[None]":
        future = asyncio.get_running_loop().create_future()
        if self.left:
            future.set_result(None)
        else:
            self._leaving.append(future)
        return future

    def readable(self) -> "asyncio.Future[None]":
        future = asyncio.get_running_loop().create_future()
        self._news.append(future)
        return future

    # What goes out.

    def hint(self, links: Sequence[bytes]) -> None:
        if self.started or self.closed:
            raise RuntimeError("the answer has begun already")
        if "http.response.early_hint" in (self.scope.get("extensions") or {}):
            self._put({"type": "http.response.early_hint", "links": list(links)})

    def answer(self, answer: Answer) -> None:
        if self.started:
            raise RuntimeError("the answer has begun already")
        if self.closed:
            return
        self.started = self.closed = True
        head_only, pieces = self.method == "HEAD", answer.pieces
        fields = [*answer.raw_headers]
        if answer.status_code not in _LENGTHLESS:
            fields.append((b"content-length", b"%d" % _length(answer)))
        self._head(answer.status_code, fields)
        if pieces is None or head_only:
            self._body(b"" if head_only else answer.body, more=False)
        else:
            self._put({"type": "file", "answer": answer})

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if self.started or self.closed:
            raise RuntimeError("the answer has begun already")
        self.started = True
        self._head(status, [(name.lower(), value) for name, value in headers])

    def write(self, data: bytes) -> bool:
        if not self.started:
            raise RuntimeError("the answer has not begun: call start() first")
        if self.closed:
            if self.left:
                return True
            raise RuntimeError("the answer is complete, or its peer has gone")
        if data and self.method != "HEAD":
            self._body(bytes(data), more=True)
        return self._unsent <= HIGH_WATER

    def drain(self) -> "asyncio.Future[None]":
        return asyncio.ensure_future(self._drained())

    async def _drained(self) -> None:
        while self._unsent > HIGH_WATER and not self.left:
            self._relieved.clear()
            await self._relieved.wait()

    async def relay(self, answer: AsyncIterable[bytes], silence: float | None) -> None:
        pieces = aiter(answer)
        while True:
            try:
                async with asyncio.timeout(silence):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return self.end()
            except TimeoutError as error:
                raise DeadlineExceeded("the server fell silent within the answer") from error
            if not self.write(piece):
                await self.drain()

    def end(self, trailers: Iterable[tuple[bytes, bytes]] | None = None) -> None:
        if not self.started:
            raise RuntimeError("the answer has not begun: call start() first")
        if not self.closed:
            self.closed = True
            self._body(b"", more=False)

    def upgrade(self, settings: Any, headers: Iterable[tuple[bytes, bytes]]) -> GuestSocket:
        if self.started or self.closed or not self.websocket:
            raise RuntimeError("the handshake is over, or its peer has gone")
        self.started = self.closed = True
        self.status = 101
        fields = [(bytes(name).lower(), bytes(value)) for name, value in headers]
        chosen = [value.decode() for name, value in fields if name == b"sec-websocket-protocol"]
        self._put(
            {
                "type": "websocket.accept",
                "subprotocol": chosen[0] if chosen else None,
                "headers": [item for item in fields if item[0] != b"sec-websocket-protocol"],
            }
        )
        self.socket = GuestSocket(self._rooms, self.peer, self._put, self.drain)
        self._upgraded(self.socket)
        return self.socket

    def deny(self) -> None:
        """403, to a client that asks for a WebSocket of a host that sends no other answer."""
        self._put({"type": "websocket.close", "code": 1000, "reason": ""})

    def _head(self, status: int, headers: Raw) -> None:
        self.status = status
        prefix = "websocket." if self.websocket else ""
        kind = f"{prefix}http.response.start"
        self._put({"type": kind, "status": status, "headers": headers})

    def _body(self, data: bytes, *, more: bool) -> None:
        prefix = "websocket." if self.websocket else ""
        message = {"type": f"{prefix}http.response.body", "body": data, "more_body": more}
        self._put(message, len(data))

    def _put(self, message: Message, size: int = 0) -> bool:
        """Sends it behind everything else; False: wait for `drain` before the next."""
        self._outgoing.append((message, size))
        self._unsent += size
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._empty(), name="megahertz-send")
        return self._unsent <= HIGH_WATER

    async def _empty(self) -> None:
        try:
            while self._outgoing:
                message, size = self._outgoing.popleft()
                if message["type"] == "file":
                    await self._send_file(message["answer"])
                else:
                    await self._send(message)
                self._unsent -= size
                self._relieved.set()
        except OSError:  # ASGI 2.4: the client has gone
            self._outgoing.clear()
            self.lose()

    async def _send_file(self, answer: Answer) -> None:
        """Of a file, piece by piece; the disk is waited for in a thread."""
        for piece in answer.pieces or ():
            if isinstance(piece, bytes):
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                continue
            fd, at, length = piece
            while length:
                data = await asyncio.to_thread(os.pread, fd, min(length, PIECE), at)
                if not data:
                    raise OSError("the file has become shorter while it was sent")
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
                at, length = at + len(data), length - len(data)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def flushed(self) -> None:
        """Everything is sent, or the client has gone."""
        if self._pump is not None:
            await self._pump


def _quoted(path: str) -> bytes:
    return quote(path, safe="/:@!$&'()*+,;=~-._").encode()


def _length(answer: Answer) -> int:
    pieces = answer.pieces
    if pieces is None:
        return len(answer.body)
    return sum(len(piece) if isinstance(piece, bytes) else piece[2] for piece in pieces)
