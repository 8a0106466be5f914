"""A WebSocket of an ASGI application: its messages in, its messages out.

Rules: `websocket.close` before the accept is 403, or whatever `websocket.http.response.start` of
the extension says. After the other end has gone, `receive` says `websocket.disconnect` and `send`
raises OSError (ASGI 2.4). A message out of order raises at the one who sent it.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from megahertz.engine import Answer, Exchange, Socket, SocketSettings
from megahertz.errors import LocalProtocolError

Message = MutableMapping[str, Any]

SETTINGS = SocketSettings()
SOCKET_EXTENSIONS: dict[str, Any] = {"websocket.http.response": {}}


def subprotocols(headers: list[tuple[bytes, bytes]]) -> list[str]:
    """What the client offers, for the scope."""
    offered = b",".join(value for name, value in headers if name == b"sec-websocket-protocol")
    return [name.strip().decode("latin-1") for name in offered.split(b",") if name.strip()]


class SocketCycle:
    """One socket, from its handshake to its end.

    `_head` and `_body` are the response of an application that denies it.
    """

    __slots__ = ("_body", "_closed", "_decided", "_exchange", "_greeted", "_head", "_socket")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._socket: Socket | None = None
        self._greeted = self._closed = False
        self._head: Message | None = None
        self._body: list[bytes] = []
        self._decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def socket(self) -> Socket | None:
        """Once it is accepted."""
        return self._socket

    async def receive(self) -> Message:
        """`websocket.connect`, then what the client sends, and `websocket.disconnect` for ever."""
        if not self._greeted:
            self._greeted = True
            return {"type": "websocket.connect"}
        await asyncio.shield(self._decided)
        socket = self._socket
        if socket is None:
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        while (message := socket.take()) is None:
            if socket.ended is not None:
                code, reason = socket.ended
                return {"type": "websocket.disconnect", "code": code, "reason": reason}
            await socket.wait()
        kind = "text" if isinstance(message, str) else "bytes"
        return {"type": "websocket.receive", kind: message}

    async def send(self, message: Message) -> None:
        """Accepts, denies, sends or closes."""
        kind = message["type"]
        if self._closed:
            raise LocalProtocolError(f"{kind} after the end")
        if self._socket is None:
            self._answer(kind, message)
        elif kind == "websocket.send":
            await _send(self._socket, message)
        elif kind == "websocket.close":
            self._closed = True
            code = message.get("code")
            self._socket.close(1000 if code is None else code, message.get("reason") or "")
        else:
            raise LocalProtocolError(f"{kind} where websocket.send or websocket.close was due")

    def _answer(self, kind: str, message: Message) -> None:
        """The application decides what becomes of the handshake."""
        if kind == "websocket.http.response.start" and self._head is None:
            self._head = message
        elif kind == "websocket.http.response.body" and self._head is not None:
            self._body.append(bytes(message.get("body", b"")))
            self._closed = not message.get("more_body", False)
        elif kind == "websocket.close" and self._head is None:
            self._closed = True
        elif kind == "websocket.accept" and self._head is None:
            self._socket = self._accept(message)
        else:
            raise LocalProtocolError(f"{kind} where websocket.accept or websocket.close was due")
        if (self._closed or self._socket is not None) and not self._decided.done():
            self._decided.set_result(None)

    def _accept(self, message: Message) -> Socket:
        fields = [(bytes(name), bytes(value)) for name, value in message.get("headers") or ()]
        if message.get("subprotocol"):
            fields.append((b"sec-websocket-protocol", message["subprotocol"].encode("latin-1")))
        try:
            return self._exchange.upgrade(SETTINGS, fields)
        except RuntimeError as error:
            raise OSError("the client has gone") from error

    def conclude(self) -> Answer | None:
        """The answer to a handshake that was not accepted; None where it was.

        Raises:
            LocalProtocolError: the application has returned without a decision.
        """
        if self._socket is not None:
            return None
        if not self._closed:
            raise LocalProtocolError("the application returned before websocket.accept or close")
        if self._head is None:
            return Answer(b"", 403)
        fields = self._head.get("headers") or ()
        texts = [(bytes(name).decode("latin-1"), bytes(text).decode("latin-1"))
                 for name, text in fields]  # fmt: skip
        return Answer(b"".join(self._body), self._head["status"], texts)


async def _send(socket: Socket, message: Message) -> None:
    text = message.get("text")
    data = message.get("bytes") if text is None else text
    if data is None:
        raise LocalProtocolError("websocket.send without text and without bytes")
    while not (sent := socket.send(data)):
        if sent is None:
            raise OSError("the client has gone")
        await socket.drain()
