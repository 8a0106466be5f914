"""A WebSocket of an application that another ASGI server serves."""

import asyncio
from collections import deque
from collections.abc import Callable, MutableMapping
from itertools import count
from typing import Any

from megahertz.engine import Callbacks

Message = MutableMapping[str, Any]

UNREAD = 16
"""Messages waiting to be received above which no more are taken from the host (websockets: 16)."""

_keys = count(1)


class GuestRooms:
    """The rooms of one application under another server: of this process alone."""

    def __init__(self) -> None:
        self._rooms: dict[str, set[GuestSocket]] = {}

    def join(self, room: str, socket: "GuestSocket") -> bool:
        members = self._rooms.setdefault(room, set())
        if socket in members or not socket.open:
            return False
        members.add(socket)
        return True

    def leave(self, room: str, socket: "GuestSocket") -> bool:
        members = self._rooms.get(room, set())
        if socket not in members:
            return False
        members.remove(socket)
        if not members:
            del self._rooms[room]
        return True

    def forget(self, socket: "GuestSocket") -> None:
        """It has ended."""
        for room in list(self._rooms):
            self.leave(room, socket)

    def broadcast(self, room: str, data: str | bytes, skip: Any = None) -> int:
        """As `Engine.broadcast`; a receiver that is behind misses it."""
        others = [socket for socket in self._rooms.get(room, ()) if socket is not skip]
        return sum(bool(socket.send(data)) for socket in others)

    def members(self, room: str) -> int:
        """As `Engine.members`."""
        return len(self._rooms.get(room, ()))


class GuestSocket:
    """As `megahertz.engine.Socket`."""

    def __init__(
        self,
        rooms: GuestRooms,
        peer: tuple[str, int] | None,
        put: Callable[..., bool],
        drain: Callable[[], "asyncio.Future[None]"],
    ) -> None:
        self.key = next(_keys)
        self.engine = rooms
        self.peer = peer
        self.drain = drain
        self.ended: tuple[int, str] | None = None
        self.callbacks: Callbacks | None = None
        self.kept: Any = None
        self._put = put
        self._unread: deque[str | bytes] = deque()
        self._behind = False
        self._closing = False
        self.told = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    # told: whether the handler has seen that it ended.

    @property
    def open(self) -> bool:
        return self.ended is None and not self._closing

    def take(self) -> str | bytes | None:
        if not self._unread:
            self.told = self.ended is not None
            return None
        self._room.set()
        return self._unread.popleft()

    def wait(self) -> "asyncio.Future[None]":
        return asyncio.ensure_future(self._waited())

    async def _waited(self) -> None:
        while not self._unread and self.ended is None:
            self._news.clear()
            await self._news.wait()

    def send(self, data: str | bytes) -> bool | None:
        if not self.open:
            self.told = True
            return None
        if self._behind:
            self._behind = False
            return False
        kind = "text" if isinstance(data, str) else "bytes"
        size = len(data)
        self._behind = not self._put({"type": "websocket.send", kind: data}, size)
        return True

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.open:
            self._closing = True
            self._put({"type": "websocket.close", "code": code, "reason": reason})

    def join(self, room: str) -> bool:
        return self.engine.join(room, self)

    def leave(self, room: str) -> bool:
        return self.engine.leave(room, self)

    def attend(self, callbacks: Callbacks) -> None:
        self.callbacks = callbacks

    def keep(self, object: Any) -> None:
        self.kept = object

    async def listen(
        self, receive: Callable[[], Any], ended: Callable[["GuestSocket"], object]
    ) -> None:
        """Receives until the other end has gone, which `ended` is told."""
        while self.ended is None:
            message = await receive()
            if message["type"] == "websocket.receive":
                text = message.get("text")
                self._unread.append(message["bytes"] if text is None else text)
            elif message["type"] == "websocket.disconnect":
                self._end(message.get("code") or 1005, message.get("reason") or "")
                ended(self)
            self._news.set()
            while len(self._unread) >= UNREAD:
                self._room.clear()
                await self._room.wait()

    def _end(self, code: int, reason: str) -> None:
        self.ended = (code, reason)
        self.engine.forget(self)
        self._news.set()
