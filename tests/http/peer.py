"""A WebSocket client that can break every rule: frames by hand on a plain socket."""

import base64
import hashlib
import os
import socket
import struct
import zlib

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


def frame(opcode: int, payload: bytes = b"", *, fin=True, rsv=0, masked=True) -> bytes:
    """One frame; the mask is not zero, so that a server that forgets it is seen."""
    mask, size = (b"\x01\x80\x7f\xfe", len(payload)) if masked else (b"", len(payload))
    bit = 128 if masked else 0
    if size < 126:
        length = bytes([bit | size])
    elif size < 65_536:
        length = bytes([bit | 126]) + struct.pack("!H", size)
    else:
        length = bytes([bit | 127]) + struct.pack("!Q", size)
    if masked:
        key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        payload = (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")
    return bytes([fin << 7 | rsv << 4 | opcode]) + length + mask + payload


def packed(data: bytes) -> bytes:
    """The payload of a compressed message."""
    coder = zlib.compressobj(wbits=-15)
    return (coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH))[:-4]


def unpacked(data: bytes, bits: int = 15) -> bytes:
    """And back."""
    return zlib.decompressobj(wbits=-bits).decompress(data + b"\0\0\xff\xff")


class Peer:
    """One connection, after its opening handshake, whatever came of that."""

    def __init__(self, client, path: str, *fields: str, behind: bytes = b"") -> None:
        self.socket: socket.socket = client.connect()
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: test",
            "Connection: keep-alive, Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            *fields,
            "\r\n",
        ]
        try:
            self._shake(key, "\r\n".join(lines).encode() + behind)
        except BaseException:
            self.socket.close()
            raise

    def _shake(self, key: str, request: bytes) -> None:
        self.socket.sendall(request)
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._data += self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = dict(line.split(": ", 1) for line in rest)
        if self.status == 101:
            proof = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode())
            assert self.headers["sec-websocket-accept"] == base64.b64encode(proof.digest()).decode()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def send(self, *args, **options) -> None:
        """One `frame`."""
        self.socket.sendall(frame(*args, **options))

    def receive(self) -> tuple[int, bytes]:
        """Opcode (with RSV1 as 64) and payload of the next frame."""
        first, second = self._take(2)
        assert first & 128
        assert second < 128, "a server never masks"
        size = second
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        return first & 127, self._take(size)

    def text(self) -> str:
        """The next frame, which is text."""
        opcode, payload = self.receive()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    def closed(self) -> tuple[int, str]:
        """Code and reason of the next frame, which is a close, and the last."""
        opcode, payload = self.receive()
        assert opcode == CLOSE, (opcode, payload)
        code = int.from_bytes(payload[:2], "big") if payload else 1005
        self.socket.sendall(frame(CLOSE, payload))
        assert self.rest() == b""
        self.socket.close()
        return code, payload[2:].decode()

    def rest(self) -> bytes:
        """Everything until the connection ends."""
        try:
            while piece := self.socket.recv(65_536):
                self._data += piece
        except ConnectionResetError:
            pass
        return self._data

    def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            self._data += self._more()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _more(self) -> bytes:
        piece = self.socket.recv(65_536)
        if not piece:
            raise EOFError(self._data[:100])
        return piece
