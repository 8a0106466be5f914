"""A WebSocket as a handler sees it, by Starlette's names.

It begins as a request that asks for one: `accept` makes it a socket, and what ends without having
done so is an HTTP answer, 403 unless the handler chose another.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from megahertz.context import lift_deadline
from megahertz.engine import Answer, Exchange, Socket, SocketSettings
from megahertz.errors import (
    BadRoute,
    LocalProtocolError,
    RemoteProtocolError,
    WebSocketDisconnect,
)
from megahertz.http.connection import Connection
from megahertz.http.encode import encode
from megahertz.http.ends import Ends
from megahertz.http.fields import Fields, Headers
from megahertz.http.problems import MEDIA_TYPE, by_status
from megahertz.http.request import Address, Place, Request
from megahertz.http.response import Response
from megahertz.http.session import Session
from megahertz.http.state import State
from megahertz.http.url import URL

_JSON = msgspec.json.Decoder()

UNSUPPORTED = 1003
"""The close code of a message that is not of the kind that was asked for."""


@dataclass(frozen=True, slots=True)
class Attendance:
    """How a route's WebSockets are attended.

    Attributes:
        settings: for the engine.
        received: called with each message; None: the handler receives by itself.
        closed: called once, after the last message.
    """

    settings: SocketSettings
    received: Callable[["WebSocket", str | bytes], Any] | None = None
    closed: Callable[["WebSocket", int, str], Any] | None = None


class WebSocket:
    """One WebSocket; two of them are equal where they are the same connection.

    `async for message in websocket` gives str and bytes until the other end goes.
    """

    __slots__ = (
        "_denial",
        "_ends",
        "_exchange",
        "_place",
        "_request",
        "_settings",
        "_socket",
        "_state",
    )

    _denial: Answer
    _ends: Ends
    _exchange: Exchange
    _request: Request
    _state: State

    def __init__(self, exchange: Exchange, place: Place, settings: SocketSettings) -> None:
        self._exchange = exchange
        self._request = Request(exchange, place)
        self._place = place
        self._settings = settings
        self._socket: Socket | None = None

    @classmethod
    def again(cls, socket: Socket, place: Place, settings: SocketSettings) -> Self:
        """An open socket whose opening request is forgotten."""
        self = cls.__new__(cls)
        self._place, self._settings, self._socket = place, settings, socket
        return self

    def _head(self) -> Request:
        try:
            return self._request
        except AttributeError:
            raise LocalProtocolError(
                "the opening request is known in `opened` alone: put what you need of it into "
                "websocket.state"
            ) from None

    @property
    def method(self) -> str:
        """Of the opening request: GET, or CONNECT over HTTP/2."""
        return self._head().method

    @property
    def url(self) -> URL:
        """The address as the client wrote it."""
        return self._head().url

    @property
    def path(self) -> str:
        """Percent-decoded."""
        return self._head().path

    @property
    def path_params(self) -> dict[str, str]:
        """What the pattern's parameters matched, percent-decoded."""
        return self._head().path_params

    @property
    def query_params(self) -> Fields:
        """The fields of the query string."""
        return self._head().query_params

    @property
    def headers(self) -> Headers:
        """Of the opening request, by name in any case."""
        return self._head().headers

    @property
    def cookies(self) -> dict[str, str]:
        """By name."""
        return self._head().cookies

    @property
    def subprotocols(self) -> list[str]:
        """Those that the client offers, the one it likes best first."""
        fields = ",".join(self.headers.getlist("sec-websocket-protocol"))
        return [name.strip() for name in fields.split(",") if name.strip()]

    @property
    def client(self) -> Address | None:
        """The other end of the connection; None on a unix socket, and when it has gone."""
        exchange = getattr(self, "_exchange", None)
        peer = None if exchange is None else exchange.peer
        if peer is None and self._socket is not None:
            peer = self._socket.peer
        return None if peer is None else Address(*peer)

    @property
    def connection(self) -> Connection:
        """What lives as long as the client's connection."""
        return self._head().connection

    @property
    def app(self) -> Any:
        """The application that serves it."""
        return self._place.app

    @property
    def state(self) -> State:
        """Attributes of your own for this socket, beginning with what the lifespan yielded."""
        try:
            return self._state
        except AttributeError:
            self._state = State(**self._place.seed)
            if self._socket is not None:
                self._socket.keep(self)
            return self._state

    @property
    def session(self) -> Session:
        """What is known of the browser; AttributeError without a layer `Sessions`."""
        return self.state.session  # type: ignore[no-any-return]

    async def accept(
        self, subprotocol: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """Completes the opening handshake.

        Args:
            subprotocol: one of `subprotocols`.
            headers: header fields to add to the answer.

        Raises:
            LocalProtocolError: a second time, or a subprotocol that the client does not offer.
        """
        if self.accepted or self.denied:
            raise LocalProtocolError("the opening handshake is over")
        items = (headers or {}).items()
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in items]
        if subprotocol is not None:
            if subprotocol not in self.subprotocols:
                raise LocalProtocolError(f"{subprotocol!r} is none of {self.subprotocols}")
            fields.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
        try:
            self._socket = self._exchange.upgrade(self._settings, fields)
        except RuntimeError:
            raise WebSocketDisconnect(1006) from None
        lift_deadline()  # it was the handshake's

    def adopt(self, socket: Socket) -> None:
        """Somebody else has completed the handshake: a mounted application."""
        self._socket = socket

    async def deny(self, response: Answer) -> None:
        """Answers the opening request with `response` instead of a WebSocket."""
        if self._socket is not None:
            raise LocalProtocolError("it is accepted already: close it")
        self._denial = response

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            WebSocketDisconnect: the other end has gone, and everything it sent is received.
        """
        socket = self.handle()
        while (message := socket.take()) is None:
            if socket.ended is not None:
                raise WebSocketDisconnect(*socket.ended)
            await socket.wait()
        return message

    async def receive_text(self) -> str:
        """The next message; bytes end the socket with 1003."""
        message = await self.receive()
        return message if isinstance(message, str) else self._refuse("text")

    async def receive_bytes(self) -> bytes:
        """The next message; text ends the socket with 1003."""
        message = await self.receive()
        return message if isinstance(message, bytes) else self._refuse("bytes")

    async def receive_json(self) -> Any:
        """The next message as JSON; RemoteProtocolError where it is none."""
        try:
            return _JSON.decode(await self.receive())
        except (msgspec.DecodeError, RecursionError) as error:
            raise RemoteProtocolError(f"a message that is no JSON: {error}") from None

    async def send(self, message: str | bytes) -> None:
        """Sends text or bytes; with `backpressure="wait"`, waits while too much is unsent.

        Raises:
            WebSocketDisconnect: the socket is closed.
        """
        socket = self.handle()
        while not (sent := socket.send(message)):
            if sent is None:
                raise WebSocketDisconnect(*(socket.ended or (1006, "closed")))
            await socket.drain()

    async def send_text(self, message: str) -> None:
        """`send` of text."""
        await self.send(message)

    async def send_bytes(self, message: bytes) -> None:
        """`send` of bytes."""
        await self.send(message)

    async def send_json(self, value: Any) -> None:
        """`send` of anything that a handler may return, as JSON in text."""
        await self.send(encode(value).decode())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Ends it, behind everything sent; before `accept` the answer is 403."""
        if self._socket is not None:
            self._socket.close(code, reason)
        elif not self.denied:
            self._denial = _forbidden()

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        try:
            while True:
                yield await self.receive()
        except WebSocketDisconnect:
            return

    async def iter_text(self) -> AsyncIterator[str]:
        """`receive_text` until the other end goes."""
        try:
            while True:
                yield await self.receive_text()
        except WebSocketDisconnect:
            return

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """`receive_bytes` until the other end goes."""
        try:
            while True:
                yield await self.receive_bytes()
        except WebSocketDisconnect:
            return

    async def iter_json(self) -> AsyncIterator[Any]:
        """`receive_json` until the other end goes."""
        try:
            while True:
                yield await self.receive_json()
        except WebSocketDisconnect:
            return

    def conclude(self) -> Answer:
        """What the opening request is answered with, where it did not become a socket."""
        return getattr(self, "_denial", None) or _forbidden()

    @property
    def accepted(self) -> bool:
        """Whether the opening handshake is complete."""
        return self._socket is not None

    @property
    def denied(self) -> bool:
        """Whether the opening request is answered otherwise."""
        return hasattr(self, "_denial")

    @property
    def forgotten(self) -> bool:
        """Whether the opening request is: callbacks have the socket now."""
        return not hasattr(self, "_request")

    def forget(self) -> Socket:
        """Lets go of the opening request; the socket, for callbacks."""
        socket = self.handle()
        if hasattr(self, "_state") or hasattr(self, "_ends"):
            socket.keep(self)
        del self._exchange, self._request
        return socket

    def handle(self) -> Socket:
        """The open socket, for what is built upon sockets."""
        if self._socket is None:
            raise LocalProtocolError("await websocket.accept() first")
        return self._socket

    def _refuse(self, wanted: str) -> Any:
        reason = f"{wanted} expected"
        self.handle().close(UNSUPPORTED, reason)
        raise WebSocketDisconnect(UNSUPPORTED, reason)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, WebSocket) or self._socket is None or other._socket is None:
            return False
        mine, theirs = self._socket, other._socket
        return mine.key == theirs.key and mine.engine is theirs.engine

    def __hash__(self) -> int:
        return hash(self.handle().key)

    def __repr__(self) -> str:
        if self._socket is None:
            return f"<WebSocket {self._request.path} not accepted>"
        return f"<WebSocket {self._socket.key & 0xFFFFFFFF}>"


def attendance(
    kind: type, settings: SocketSettings, where: str
) -> tuple[Callable[..., Any], Attendance]:
    """What a class of callbacks does when a socket opens, and after.

    Raises:
        BadRoute: it has no `received`, or cannot be made without arguments.
    """
    if not isinstance(kind, type) or not callable(getattr(kind, "received", None)):
        raise BadRoute(f"{where}: takes a class with a method received(self, websocket, message)")
    try:
        made = kind()
    except TypeError as error:
        raise BadRoute(f"{where}: one object serves every socket: {error}") from error
    opened = getattr(made, "opened", _opened)
    closed = getattr(made, "closed", _closed)
    return opened, Attendance(settings, made.received, closed)


async def _opened(websocket: WebSocket) -> None:
    """Nothing to do: it is accepted."""


def _closed(websocket: WebSocket, code: int, reason: str) -> None:
    """Nothing to do."""


def _forbidden() -> Response:
    return Response(encode(by_status(403)), 403, None, MEDIA_TYPE)
