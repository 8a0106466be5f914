"""Django, Litestar and Starlette behave under us as under uvicorn, byte for byte.

`exchanges.py` has the raw requests, and the few things that must differ with their reasons.
"""

import gc
import importlib
import re
import socket
import threading
import warnings

import pytest
import uvicorn

from megahertz.settings import Limits
from megahertz.testing import Client
from tests.conformance.exchanges import (
    BYE,
    DIFFERENT,
    HEAD_OF_HEAD,
    HEAD_RULES,
    HTTP,
    PING,
    RULES,
    SOCKETS,
    TEXT,
)

APPS = ("starlette", "litestar", "django")
HEAD = re.compile(rb"HTTP/1\.1 [0-9]{3} .*?\r\n\r\n", re.DOTALL)


class Uvicorn:
    """uvicorn, in a thread."""

    def __init__(self, app):
        options = {"log_config": None, "http": "httptools", "ws": "wsproto", "lifespan": "auto"}
        self.server = uvicorn.Server(uvicorn.Config(app, **options))
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],))

    def connect(self):
        return socket.create_connection(self.socket.getsockname(), 5)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.server.should_exit = True
        self.thread.join(20)
        self.socket.close()


@pytest.fixture(scope="module", params=APPS)
def servers(request):
    app = importlib.import_module(f"tests.conformance.apps.{request.param}_shop").app
    with Uvicorn(app) as theirs, Client(app, limits=Limits(requests=0)) as ours:
        yield request.param, theirs, ours
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # files that applications have left open are no warnings of other tests


def ask(server, first: bytes, *more: bytes) -> bytes:
    """Everything up to the end of the connection; of a WebSocket that is refused, the answer."""
    received = b""
    with server.connect() as peer:
        peer.sendall(first)
        if first.find(b"Upgrade: websocket") >= 0:
            while not is_whole(received):
                received += peer.recv(65_536)
            if not received.startswith(b"HTTP/1.1 101"):
                return received
        due = 0
        for piece in more:
            # Behind a close frame nothing is answered any more: what was asked before comes first.
            while piece == BYE and frames(received) < due:
                received += peer.recv(65_536)
            peer.sendall(piece)
            due += {TEXT: 2, PING: 1}.get(piece[0] & 15, 0)
        try:
            while piece := peer.recv(65_536):
                received += piece
        except ConnectionResetError:
            received += b"<reset>"
    return received


def frames(received: bytes) -> int:
    """How many whole ones there are behind the head."""
    rest, count = received.partition(b"\r\n\r\n")[2], 0
    while len(rest) >= 2:
        short = rest[1] < 126
        size = 2 + rest[1] if short else 4 + int.from_bytes(rest[2:4], "big")
        if len(rest) < size:
            break
        if rest[0] & 15 == 8:
            return 1000  # nothing more comes
        rest, count = rest[size:], count + 1
    return count


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    whole = body.endswith(b"0\r\n\r\n") if b"chunked" in head else length is None
    return bool(end) and (whole or (length is not None and len(body) >= int(length[1])))


def normal(answer: bytes, request: bytes) -> bytes:
    """By the rules, head by head."""
    rules = [*HEAD_RULES, HEAD_OF_HEAD] if request.startswith(b"HEAD") else HEAD_RULES

    def head(found: re.Match[bytes]) -> bytes:
        lines = found[0].removesuffix(b"\r\n\r\n").split(b"\r\n")
        for rule in rules:
            lines = rule.apply(lines)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    for pattern, instead, _ in RULES:
        answer = re.sub(pattern, instead, answer)
    return HEAD.sub(head, answer)


def compare(servers, name, *pieces):
    app, theirs, ours = servers
    expected = ask(theirs, *pieces)
    assert expected.startswith(b"HTTP/1.1 ")
    said, expected = normal(ask(ours, *pieces), pieces[0]), normal(expected, pieces[0])
    if (app, name) in DIFFERENT or ("*", name) in DIFFERENT:
        assert said != expected, "take it from the list"
    else:
        assert said == expected


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.filterwarnings("ignore")
def test_http_is_answered_as_by_uvicorn(servers, name):
    compare(servers, name, HTTP[name])


@pytest.mark.parametrize("name", SOCKETS)
@pytest.mark.filterwarnings("ignore")
def test_sockets_are_answered_as_by_uvicorn(servers, name):
    if servers[0] != "django":  # it has no WebSockets of its own
        compare(servers, name, *SOCKETS[name])
