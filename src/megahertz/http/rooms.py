"""Rooms: named sets of WebSockets that get the same messages, on one worker or on a hundred.

A message is encoded once, in the native core, and shared by all of a worker's receivers. To other
workers of the machine it goes by their bus; to other machines, and then to all workers, by a
broker.
"""

import logging
import os
import re
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from megahertz.engine import Bus, Engine
from megahertz.errors import BadSettings
from megahertz.http.websocket import WebSocket
from megahertz.observe import series, tells
from megahertz.types import Broker

log = logging.getLogger("megahertz")

_NAME = re.compile(r"[\w-]{1,64}")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[bytes, str, Any]).decode


@dataclass(frozen=True, slots=True)
class RoomStatistics:
    """Since the start.

    Attributes:
        published: messages sent to other workers or machines.
        received: messages that came from them.
        lost: messages that another worker of this machine did not read in time.
    """

    published: int
    received: int
    lost: int


class Rooms:
    """Rooms by name; a resource of the application.

        rooms = Rooms()
        app = App(resources=[rooms])

        rooms["lobby"].join(websocket)
        await rooms["lobby"].broadcast("hello")

    Args:
        name: tells them from other rooms of the same workers or the same broker.
        broker: to other machines; without it, to the other workers of this one.

    Raises:
        BadSettings: a name that is no file name.
    """

    def __init__(self, name: str = "rooms", *, broker: Broker | None = None) -> None:
        if not _NAME.fullmatch(name):
            raise BadSettings(f"Rooms({name!r}): letters, digits, _ and -, at most 64")
        self._name = name
        self._broker = broker
        self._engines: list[Engine] = []
        self._bus: Bus | None = None
        self._origin = os.urandom(8)
        self._published = self._received = 0
        self._open = AsyncExitStack()
        tells(self)

    def __getitem__(self, room: str) -> "Room":
        """The room of that name; it needs no making, and is gone with its last member."""
        return Room(self, room)

    async def __aenter__(self) -> Self:
        if self._broker is not None:
            channel = f"megahertz:{self._name}"
            await self._open.enter_async_context(self._broker.subscribe(channel, self._deliver))
        elif (bus := Bus.inherited(self._name)) is not None:
            await bus.open(self._deliver)
            self._open.push_async_callback(bus.close)
            self._bus = bus
        return self

    async def __aexit__(self, *exc: object) -> bool | None:
        self._bus = None
        self._engines.clear()
        await self._open.aclose()
        return None

    def figures(self) -> Iterable[tuple[str, float]]:
        """For `/metrics`."""
        told = self.statistics()
        for name in ("published", "received", "lost"):
            yield series(f"room_{name}_total", rooms=self._name), getattr(told, name)

    def statistics(self) -> RoomStatistics:
        """A snapshot."""
        lost = 0 if self._bus is None else self._bus.lost
        return RoomStatistics(self._published, self._received, lost)

    def _deliver(self, message: bytes) -> None:
        try:
            origin, room, data = _decode(message)
        except msgspec.MsgspecError as error:  # on a broker anybody may speak
            return log.warning("a message to the rooms %s that is none: %s", self._name, error)
        if origin != self._origin and isinstance(data, str | bytes):
            self._received += 1
            self._send(room, data)

    def _send(self, room: str, data: str | bytes, skip: Any = None) -> int:
        """To the members of this worker."""
        key = self._key(room)
        return sum(engine.broadcast(key, data, skip) for engine in self._engines)

    async def _publish(self, room: str, data: str | bytes) -> None:
        if self._broker is None and self._bus is None:
            return
        message = _encode((self._origin, room, data))
        self._published += 1
        if self._broker is not None:
            await self._broker.publish(f"megahertz:{self._name}", message)
        elif self._bus is not None:
            await self._bus.publish(message)

    def _key(self, room: str) -> str:
        return f"{self._name}:{room}"

    def _join(self, room: str, websocket: WebSocket) -> bool:
        socket = websocket.handle()
        if not any(engine is socket.engine for engine in self._engines):
            self._engines.append(socket.engine)
        return socket.join(self._key(room))


class Room:
    """One room: `rooms["lobby"]`."""

    __slots__ = ("_rooms", "name")

    def __init__(self, rooms: Rooms, name: str) -> None:
        self._rooms = rooms
        self.name = name

    def join(self, websocket: WebSocket) -> bool:
        """Puts an accepted socket in, until it leaves or ends; False if it is in, or has ended."""
        return self._rooms._join(self.name, websocket)

    def leave(self, websocket: WebSocket) -> bool:
        """Takes it out; False if it was not in."""
        return websocket.handle().leave(self._rooms._key(self.name))

    async def broadcast(self, message: str | bytes, *, skip: WebSocket | None = None) -> int:
        """Sends to everybody in the room, here and elsewhere, but for `skip`.

        A receiver that does not read keeps nobody waiting: with "wait" and "drop" its oldest
        unsent messages go, with "close" its socket does.

        Returns:
            How many sockets of this worker took it.

        Raises:
            BackendError: the broker is away; the sockets of this worker have it nevertheless.
        """
        taken = self._rooms._send(self.name, message, None if skip is None else skip.handle())
        await self._rooms._publish(self.name, message)
        return taken

    def __len__(self) -> int:
        """Its sockets on this worker."""
        key = self._rooms._key(self.name)
        return sum(engine.members(key) for engine in self._rooms._engines)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Room {self.name} with {len(self)} here>"
