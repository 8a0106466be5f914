"""Raw requests whose answers are compared with uvicorn's, and what of them must differ."""

import base64
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

CLOSE = "Connection: close"
TEXT, END, PING = 1, 8, 9
KEY = base64.b64encode(b"a key of 16 byte").decode()


def request(method: str, target: str, *fields: str, body: bytes = b"", version: str = "1.1"):
    lines = [f"{method} {target} HTTP/{version}", "Host: shop.example", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def get(target: str, *fields: str, method: str = "GET") -> bytes:
    return request(method, target, *fields, CLOSE)


def post(target: str, body: bytes, *fields: str, method: str = "POST") -> bytes:
    return request(method, target, f"Content-Length: {len(body)}", *fields, CLOSE, body=body)


def chunked(target: str, *pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end
    return request("POST", target, "Transfer-Encoding: chunked", CLOSE, body=body)


def form(name: str, content: bytes) -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="data"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + b"\r\n--b--\r\n"
    return post("/upload", body, "Content-Type: multipart/form-data; boundary=b")


def frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    length = bytes([128 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
    return bytes([128 | opcode]) + length + b"\0\0\0\0" + payload


def handshake(target: str = "/ws", *fields: str) -> bytes:
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    return request("GET", target, *upgrade, f"Sec-WebSocket-Key: {KEY}", *fields)


BYE = frame(END, struct.pack("!H", 1000) + b"bye")

HTTP = {
    "get": get("/hello"),
    "head": get("/hello", method="HEAD"),
    "a thread": get("/threaded"),
    "options": get("/hello", method="OPTIONS"),
    "an unknown method": get("/hello", method="PROPFIND"),
    "a method that is not allowed": post("/hello", b"x"),
    "an unknown path": get("/nowhere"),
    "head of an unknown path": get("/nowhere", method="HEAD"),
    "a slash too many": get("/hello/"),
    "the root": get("/"),
    "HTTP/1.0": request("GET", "/hello", version="1.0"),
    "HTTP/1.0, kept": request("GET", "/hello", "Connection: keep-alive", version="1.0")
    + request("GET", "/hello", version="1.0"),
    "a stream to HTTP/1.0": request("GET", "/stream", version="1.0"),
    "three in one": request("GET", "/hello") + request("HEAD", "/hello") + get("/hello"),
    "a post, then a get": request("POST", "/echo", "Content-Length: 3", body=b"abc")
    + get("/hello"),
    "what the scope says": get("/show/a%20b/%C3%BC%2Fc?q=%20&r=1&r=2", "X-Two: 1", "x-two: 2"),
    "an empty query": get("/show/a?"),
    "an absolute target": get("http://shop.example/show/a?q=1"),
    "odd octets in a field": get("/show/a", "X-Odd: \xe9\xff"),
    "post": post("/echo", b"hello", "Content-Type: text/plain"),
    "post nothing": post("/echo", b""),
    "post without a length": request("POST", "/echo", CLOSE),
    "put": post("/echo", b"hello", method="PUT"),
    "patch": post("/echo", b"hello", method="PATCH"),
    "delete": post("/echo", b"", method="DELETE"),
    "post JSON": post("/echo", b'{"a": 1}', "Content-Type: application/json"),
    "post 300 kB": post("/upload", b"x" * 300_000),
    "post chunks": chunked("/echo", b"hello", b" ", b"world"),
    "post no chunk": chunked("/echo"),
    "chunks with extensions and trailers": chunked(
        "/echo", b"hello", end=b"3;name=value\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    ),
    "post 300 kB in chunks": chunked("/upload", *[b"x" * 10_000] * 30),
    "upload": form("a.txt", b"content"),
    "upload 200 kB": form("ü.bin".encode().decode("latin-1"), bytes(200_000)),
    "expect": post("/echo", b"hello", "Expect: 100-continue"),
    "redirect": get("/redirect"),
    "cookies": get("/cookies", "Cookie: x=1; y=2"),
    "stream": get("/stream"),
    "head of a stream": get("/stream", method="HEAD"),
    "compressed": get("/large", "Accept-Encoding: gzip"),
    "large": get("/large"),
    "file": get("/file"),
    "head of a file": get("/file", method="HEAD"),
    "a range of a file": get("/file", "Range: bytes=10-19"),
    "two ranges of a file": get("/file", "Range: bytes=0-1,10-19"),
    "a range that is not there": get("/file", "Range: bytes=99999999-"),
    "a bug": get("/fails"),
    "a bug, then another request": request("GET", "/fails") + get("/hello"),
    "a bug in a stream": get("/breaks"),
    "denied": get("/denied"),
    **{f"status {code}": get(f"/status/{code}") for code in (200, 201, 204, 304, 404, 503)},
    "head of 204": get("/status/204", method="HEAD"),
}

SOCKETS = {
    "echo": (handshake(), frame(TEXT, b"hello"), BYE),
    "long messages": (handshake(), frame(TEXT, b"x" * 200), frame(TEXT, b"y" * 60_000), BYE),
    "closed by the server": (handshake(), frame(TEXT, b"bye"), BYE),
    "a subprotocol": (handshake("/ws", "Sec-WebSocket-Protocol: a, b"), BYE),
    "closed without a code": (handshake(), frame(END, b"")),
    "ping": (handshake(), frame(PING, b"data"), BYE),
    "refused": (handshake("/ws?refuse=1"), BYE),
    "denied": (handshake("/ws?deny=1"), BYE),
    "nobody there": (handshake("/nowhere"),),
}


@dataclass(frozen=True)
class Rule:
    """Something that differs, and why it may.

    Attributes:
        reason: with the section that allows it.
        apply: to a head's lines, the first of which is the status line.
    """

    reason: str
    apply: Callable[[list[bytes]], list[bytes]]


def without(line: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda lines: [field for field in lines if not field.lower().startswith(line)]


def in_order(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *sorted(lines[1:], key=lambda line: line.partition(b":")[0])]


def phrase(lines: list[bytes]) -> list[bytes]:
    return [re.sub(rb"^(HTTP/1.1 \d+) .*", rb"\1", lines[0]), *lines[1:]]


def case(lines: list[bytes]) -> list[bytes]:
    pairs = [line.partition(b": ") for line in lines[1:]]
    options = (b"connection", b"upgrade")  # whose values have none either (section 7.6.1)
    return [lines[0]] + [
        name.lower() + colon + (value.lower() if name.lower() in options else value)
        for name, colon, value in pairs
    ]


def length(lines: list[bytes]) -> list[bytes]:
    bodiless = lines[0].startswith((b"HTTP/1.1 204", b"HTTP/1.1 304"))
    return without(b"content-length: 0")(lines) if bodiless else lines


HEAD_RULES = [
    Rule("the time", without(b"date: ")),
    Rule("uvicorn names itself; we do not (RFC 9110 section 10.2.4)", without(b"server: ")),
    Rule("fields of different names have no order (RFC 9110 section 5.3)", in_order),
    Rule("wsproto's fields of a handshake; names have no case (RFC 9110 section 5.1)", case),
    Rule("Python's phrases are those of RFC 7231; nobody reads them (RFC 9112 section 4)", phrase),
    Rule("204 must have no length, 304 need not (RFC 9110 section 8.6)", length),
]

HEAD_OF_HEAD = Rule("may say how a GET is framed (RFC 9112 section 6.1)", without(b"transfer-enc"))
"""For answers to HEAD."""

RULES = [
    (rb"HTTP/1\.1 100[^\r]*\r\n\r\n", b"", "unneeded where the body has come (RFC 9110, 10.1.1)"),
    (rb"<reset>$", b"", "uvicorn closes with unread bytes; we wait (RFC 9112 section 9.6)"),
    (rb"(boundary=|--)[0-9a-f]{26,32}", rb"\1b", "Starlette draws its boundary"),
]
"""A pattern, what stands in its place, and the reason."""

DIFFERENT = {
    ("*", "HTTP/1.0, kept"): "uvicorn closes; RFC 9112 section 9.3 lets a 1.0 client keep it",
    ("*", "a stream to HTTP/1.0"): "uvicorn sends chunks, which 1.0 knows not (RFC 9112, 6.1)",
    ("starlette", "a bug, then another request"): "uvicorn closes after an error it has logged",
    ("starlette", "file"): "by http.response.pathsend Starlette's GZip lets files pass",
}
"""Decided otherwise; has to differ."""
