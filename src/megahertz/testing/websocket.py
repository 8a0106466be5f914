"""A WebSocket to the application under test, by Starlette's names.

with client.websocket_connect("/chat") as websocket:
    websocket.send_text("hello")
    assert websocket.receive_text() == "hello"
"""

import base64
import json as jsonlib
import os
import socket
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self

from megahertz.errors import HTTPError, WebSocketDisconnect

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10


class WebSocketDenied(WebSocketDisconnect, HTTPError):
    """The handshake was answered by something else than 101: `status_code`, `detail`, `headers`."""

    def __init__(self, status_code: int, detail: str, headers: dict[str, str]) -> None:
        HTTPError.__init__(self, status_code, detail, headers=headers)
        self.code, self.reason = 1006, detail


class WebSocketSession:
    """The client's side of one WebSocket; leaving it closes it with 1000.

    Attributes:
        accepted_subprotocol: what the server chose, or None.
        headers: of the server's answer, names in lower case.

    Raises:
        WebSocketDenied: the server answered with another status.
    """

    def __init__(
        self,
        connection: socket.socket,
        path: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        subprotocols: Sequence[str] = (),
        leave: Callable[[], None] | None = None,
    ) -> None:
        self._socket = connection
        self._leave = leave
        self._data = b""
        self._over = False
        try:
            pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
            self.headers = self._shake(path, list(pairs), subprotocols)
        except BaseException:
            connection.close()
            raise
        self.accepted_subprotocol = self.headers.get("sec-websocket-protocol")

    def _shake(
        self, path: str, fields: list[tuple[str, str]], subprotocols: Sequence[str]
    ) -> dict[str, str]:
        if subprotocols:
            fields.append(("sec-websocket-protocol", ", ".join(subprotocols)))
        own = {
            "connection": "upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
        }
        fields = [(name, text) for name, text in fields if name.lower() not in own]
        fields += own.items()
        if "host" not in (name.lower() for name, _ in fields):
            fields.append(("host", "testserver"))
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        self._socket.sendall("\r\n".join([*lines, "\r\n"]).encode("latin-1"))
        while b"\r\n\r\n" not in self._data:
            self._data += self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in rest)
        found = {name.lower(): value for name, value in pairs}
        status = int(first.split()[1])
        if status != 101:
            body = self._take(int(found.get("content-length", 0)))
            raise WebSocketDenied(status, body.decode("utf-8", "replace"), found)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        leave, self._leave = self._leave, None
        try:
            if not self._over:
                self.close()
        finally:
            self._socket.close()
            if leave is not None:
                leave()

    def send_text(self, data: str) -> None:
        """A message of text."""
        self._send(_TEXT, data.encode())

    def send_bytes(self, data: bytes) -> None:
        """A message of bytes."""
        self._send(_BINARY, data)

    def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """A message of text, or the same in bytes."""
        text = jsonlib.dumps(data, separators=(",", ":"), ensure_ascii=False)
        self._send(_TEXT if mode == "text" else _BINARY, text.encode())

    def receive(self) -> str | bytes:
        """The next message; pings are answered.

        Raises:
            WebSocketDisconnect: the server has closed it.
        """
        while True:
            first, second = self._take(2)
            size = second & 127
            if size >= 126:
                width = "!H" if size == 126 else "!Q"
                (size,) = struct.unpack(width, self._take(struct.calcsize(width)))
            kind, payload = first & 15, self._take(size)
            if kind == _CLOSE:
                self._ended(payload)
            elif kind == _PING:
                self._send(_PONG, payload)
            elif kind != _PONG:
                return payload.decode() if kind == _TEXT else payload

    def receive_text(self) -> str:
        """The next message, which is text."""
        message = self.receive()
        assert isinstance(message, str), message
        return message

    def receive_bytes(self) -> bytes:
        """The next message, which is bytes."""
        message = self.receive()
        assert isinstance(message, bytes), message
        return message

    def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """The next message, as JSON."""
        return jsonlib.loads(self.receive_text() if mode == "text" else self.receive_bytes())

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Says goodbye, and waits until the server has."""
        self._send(_CLOSE, code.to_bytes(2, "big") + reason.encode())
        try:
            while True:
                self.receive()
        except WebSocketDisconnect:
            return

    def _ended(self, payload: bytes) -> None:
        if not self._over:
            self._over = True
            self._send(_CLOSE, payload)
        code = int.from_bytes(payload[:2], "big") if payload else 1005
        raise WebSocketDisconnect(code, payload[2:].decode())

    def _send(self, kind: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = bytes([128 | kind, 128 | size])
        elif size < 65_536:
            head = bytes([128 | kind, 254]) + struct.pack("!H", size)
        else:
            head = bytes([128 | kind, 255]) + struct.pack("!Q", size)
        try:
            # A mask of zeros leaves the payload as it is.
            self._socket.sendall(head + b"\0\0\0\0" + payload)
        except OSError:
            self._over = True
            if kind != _CLOSE:
                raise WebSocketDisconnect(1006) from None

    def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            self._data += self._more()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _more(self) -> bytes:
        try:
            piece = self._socket.recv(65_536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            self._over = True
            raise WebSocketDisconnect(1006)
        return piece
