"""WebSockets by a handler of their own: the handshake, messages, and every way to end."""

import asyncio
import threading

import pytest

from megahertz import GCRA, App, Depends, HTTPError, Policy, Response, WebSocket
from megahertz.errors import (
    BadRoute,
    BadSettings,
    LocalProtocolError,
    RemoteProtocolError,
    WebSocketDisconnect,
)
from megahertz.settings import Limits
from megahertz.testing import Client
from tests.http.peer import BINARY, CLOSE, DEFLATE, PING, PONG, TEXT, Peer, frame, packed, unpacked


def echo_app(**options):
    app = App()

    @app.websocket("/echo", **options)
    async def echo(websocket: WebSocket):
        await websocket.accept()
        async for message in websocket:
            await websocket.send(message)

    return app


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Told:
    """What a handler tells the test, across threads."""

    def __init__(self):
        self._said = []
        self._news = threading.Semaphore(0)

    def __call__(self, what):
        self._said.append(what)
        self._news.release()

    def next(self):
        assert self._news.acquire(timeout=30), "nothing was told"
        return self._said.pop(0)


def test_a_socket_stands_beside_a_route_of_the_same_path():
    app = echo_app()

    @app.get("/echo")
    async def page():
        return "page"

    with Client(app) as client, Peer(client, "/echo") as peer:
        peer.send(TEXT, b"hello")
        assert peer.text() == "hello"
        assert client.get("/echo").text == "page"


def test_a_request_that_cannot_become_a_socket_is_told_why():
    app = echo_app()

    @app.get("/page")
    async def page():
        return "page"

    with Client(app) as client:
        plain = client.get("/echo")
        assert (plain.status_code, plain.headers["upgrade"]) == (426, "websocket")
        assert plain.headers["sec-websocket-version"] == "13"
        with Peer(client, "/page") as peer:
            assert (peer.status, peer.headers["allow"]) == (405, "GET, HEAD")
        with Peer(client, "/nothing") as peer:
            assert peer.status == 404
        upgrade = {"connection": "upgrade", "upgrade": "websocket"}
        assert client.get("/echo", headers=upgrade).status_code == 426
        bad = {**upgrade, "sec-websocket-version": "13", "sec-websocket-key": "short"}
        assert client.get("/echo", headers=bad).status_code == 400
        assert client.request("(WEBSOCKET)", "/echo").status_code == 400


def test_the_handler_sees_the_request():
    app, told = App(), Told()

    def user(websocket: WebSocket) -> str:
        return websocket.headers["x-user"]

    @app.websocket("/rooms/{room}")
    async def room(websocket, room: str, at: int = 0, who: str = Depends(user)):
        assert websocket.app is app
        told((room, at, who, websocket.path_params, websocket.cookies, str(websocket.url)))
        told((websocket.client.host, websocket.query_params["at"], repr(websocket)))
        websocket.state.n = 1
        await websocket.accept()
        told(websocket.state.n)

    with Client(app) as client:
        with Peer(client, "/rooms/blue?at=7", "X-User: ann", "Cookie: a=b") as peer:
            assert peer.closed() == (1000, "")
        seen = ("blue", 7, "ann", {"room": "blue"}, {"a": "b"}, "http://test/rooms/blue?at=7")
        assert told.next() == seen
        assert told.next() == ("127.0.0.1", "7", "<WebSocket /rooms/blue not accepted>")
        assert told.next() == 1


@pytest.mark.parametrize("denial", ["close", "deny", "raise", "return", "layer"])
def test_what_is_not_accepted_is_answered_as_http(denial):
    app = App()

    @app.websocket("/")
    async def refuse(websocket):
        if denial == "close":
            await websocket.close()
        elif denial == "deny":
            await websocket.deny(Response("no", 401))
        elif denial == "raise":
            raise HTTPError(409, "not now")

    if denial == "layer":

        @app.layer
        def guard(call):
            async def guarded(request):
                return Response("no", 402)

            return guarded

    expected = {"close": 403, "deny": 401, "raise": 409, "return": 403, "layer": 402}[denial]
    with Client(app) as client, Peer(client, "/") as peer:
        assert peer.status == expected


def test_a_rate_limit_stands_before_the_handshake():
    app = App()

    @app.websocket("/", policy=Policy(limit=GCRA(1, per=60)))
    async def once(websocket):
        await websocket.accept()

    with Client(app) as client:
        with Peer(client, "/") as first:
            assert first.status == 101
        with Peer(client, "/") as second:
            assert second.status == 429


def test_a_layer_stands_around_the_socket():
    app, told = App(), Told()

    @app.layer
    def around(call):
        async def layer(request):
            answer = await call(request)
            told(answer.status_code)
            return answer

        return layer

    @app.websocket("/")
    async def handler(websocket):
        await websocket.accept()
        told(await websocket.receive_text())

    with Client(app) as client, Peer(client, "/", behind=frame(TEXT, b"early")) as peer:
        assert peer.closed() == (1000, "")
    assert (told.next(), told.next()) == ("early", 200)


def test_subprotocols_and_headers():
    app, told = App(), Told()

    @app.websocket("/")
    async def handler(websocket):
        told(websocket.subprotocols)
        with pytest.raises(LocalProtocolError):
            await websocket.send("early")
        with pytest.raises(LocalProtocolError):
            await websocket.accept("unknown")
        await websocket.accept("b", {"x-y": "z", "upgrade": "never"})
        with pytest.raises(LocalProtocolError):
            await websocket.accept()
        with pytest.raises(LocalProtocolError):
            await websocket.deny(Response())

    with Client(app) as client, Peer(client, "/", "Sec-WebSocket-Protocol: a, b") as peer:
        assert (peer.headers["sec-websocket-protocol"], peer.headers["x-y"]) == ("b", "z")
        assert peer.headers["upgrade"] == "websocket"
        assert peer.closed() == (1000, "")
    assert told.next() == ["a", "b"]


def test_each_kind_of_message():
    app, told = App(), Told()

    @app.websocket("/")
    async def handler(websocket):
        await websocket.accept()
        told(await websocket.receive_text())
        told(await websocket.receive_bytes())
        told(await websocket.receive_json())
        await websocket.send_text("t")
        await websocket.send_bytes(b"b")
        await websocket.send_json({"j": [1]})
        with pytest.raises(TypeError, match="str or bytes"):
            await websocket.send(7)
        with pytest.raises(ValueError, match="close code 1005"):
            await websocket.close(1005)
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as gone:
            told((gone.code, gone.reason))
            raise

    with Client(app) as client, Peer(client, "/") as peer:
        peer.send(TEXT, "ä".encode())
        peer.send(BINARY, b"\0")
        peer.send(TEXT, b'{"a": 1}')
        assert [peer.receive() for _ in range(3)] == [(1, b"t"), (2, b"b"), (1, b'{"j":[1]}')]
        assert [told.next() for _ in range(3)] == ["ä", b"\0", {"a": 1}]
        peer.send(BINARY, b"not text")
        assert peer.closed() == (1003, "text expected")
        assert told.next() == (1003, "text expected")


def test_json_that_is_none_ends_the_socket():
    app, told = App(), Told()

    @app.websocket("/")
    async def handler(websocket):
        await websocket.accept()
        try:
            async for value in websocket.iter_json():
                told(value)
        except RemoteProtocolError:
            told("none")
            raise

    with Client(app) as client, Peer(client, "/") as peer:
        peer.send(TEXT, b"[1]")
        peer.send(TEXT, b"[1")
        assert (told.next(), told.next()) == ([1], "none")
        assert peer.closed()[0] == 1007


@pytest.mark.parametrize(("kind", "opcode"), [("iter_text", TEXT), ("iter_bytes", BINARY)])
def test_iterating_ends_with_the_peer(kind, opcode):
    app, told = App(), Told()

    @app.websocket("/")
    async def handler(websocket):
        await websocket.accept()
        async for message in getattr(websocket, kind)():
            told(len(message))
        told("over")

    with Client(app) as client, Peer(client, "/") as peer:
        peer.send(opcode, b"abc")
        peer.send(CLOSE, b"\x03\xe8")
        assert peer.closed() == (1000, "")
    assert (told.next(), told.next()) == (3, "over")


def test_the_handler_learns_how_the_peer_went():
    app, told = App(), Told()

    @app.websocket("/")
    async def handler(websocket):
        await websocket.accept()
        try:
            await websocket.receive()
        except WebSocketDisconnect as gone:
            told((gone.code, gone.reason))
        with pytest.raises(WebSocketDisconnect):
            await websocket.send("too late")

    with Client(app) as client:
        with Peer(client, "/") as peer:
            peer.send(CLOSE, b"\x0f\xa1bye")
            assert peer.closed() == (4001, "bye")
        assert told.next() == (4001, "bye")
        with Peer(client, "/") as peer:
            peer.send(CLOSE)
            assert peer.closed() == (1005, "")
        assert told.next() == (1005, "")
        Peer(client, "/").socket.close()
        assert told.next() == (1006, "")


def test_what_was_sent_before_the_peer_left_is_received():
    app, told = App(), Told()

    @app.websocket("/")
    async def handler(websocket):
        await websocket.accept()
        assert await websocket.receive() == "go"
        await asyncio.to_thread(left.wait)
        async for message in websocket:
            told(message)
        told("over")

    left = threading.Event()
    with Client(app) as client:
        with Peer(client, "/") as peer:
            for text in (b"go", b"1", b"2"):
                peer.send(TEXT, text)
            peer.send(CLOSE)
            peer.closed()
        left.set()
        assert [told.next() for _ in range(3)] == ["1", "2", "over"]


def test_a_handler_that_never_looks_is_cancelled_after_the_close_timeout():
    app, told = App(), Told()

    @app.websocket("/")
    async def handler(websocket):
        await websocket.accept()
        told("waits")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            told(str(error))
            raise

    with Client(app, limits=Limits(close_timeout=0.01)) as client:
        with Peer(client, "/"):
            assert told.next() == "waits"
        assert told.next() == "client disconnected"


def test_an_error_ends_the_socket_and_is_logged(caplog):
    app = App()

    @app.websocket("/")
    async def handler(websocket):
        await websocket.accept()
        raise RuntimeError("oh")

    with Client(app) as client, Peer(client, "/") as peer:
        assert peer.closed() == (1011, "internal error")
    assert "oh" in caplog.text


def test_a_stop_says_so_to_every_socket():
    app, told = App(), Told()

    @app.websocket("/")
    async def handler(websocket):
        await websocket.accept()
        told("open")
        try:
            await websocket.receive()
        except WebSocketDisconnect as gone:
            told(gone.code)

    with Client(app) as client:
        with Peer(client, "/") as peer:
            told.next()
            client.stop()
            assert peer.closed() == (1012, "service restart")
        assert told.next() == 1012


def test_a_socket_that_opens_while_the_server_stops_is_told_so():
    app, told = App(), Told()

    @app.websocket("/")
    async def late(websocket):
        told("begun")
        await asyncio.to_thread(go.wait)
        await websocket.accept()
        async for _ in websocket:
            pass

    go = threading.Event()
    with Client(app) as client, client.connect() as raw:
        raw.sendall(HANDSHAKE)
        assert told.next() == "begun"
        client.stop()
        while not client._server._stopped:
            client.statistics()
        go.set()
        data = b""
        while piece := raw.recv(65_536):
            data += piece
        assert data.endswith(b"\x88\x11\x03\xf4service restart")


def test_a_stop_does_not_wait_for_a_peer_that_is_silent():
    app, told = App(), Told()

    @app.websocket("/")
    async def handler(websocket):
        await websocket.accept()
        told("open")
        try:
            await websocket.receive()
        finally:
            told("over")

    with Client(app, limits=Limits(close_timeout=0.01)) as client:
        peer = Peer(client, "/")
        told.next()
    assert told.next() == "over"
    peer.socket.close()


def test_pings_are_answered_and_silence_is_not():
    with Client(echo_app()) as client, Peer(client, "/echo") as peer:
        peer.send(PING, b"one")
        peer.send(PONG, b"nobody asked")
        peer.send(PING, b"two")
        assert [peer.receive(), peer.receive()] == [(PONG, b"one"), (PONG, b"two")]
    limits = Limits(ping_interval=0.01, ping_timeout=0.01)
    with Client(echo_app(), limits=limits) as client, Peer(client, "/echo") as peer:
        assert peer.receive() == (PING, b"")
        peer.send(PONG)
        assert peer.receive() == (PING, b"")
        assert peer.rest() == b""
        assert client.statistics().silent == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"a", masked=False), 1002),
        (frame(3), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x" * 5000), 1009),
        (frame(TEXT, b"x", rsv=4), 1002),
    ],
    ids=["mask", "opcode", "utf-8", "size", "rsv1"],
)
def test_a_peer_that_breaks_the_rules_is_told_and_counted(data, code):
    with Client(echo_app(), limits=Limits(message_bytes=4096)) as client:
        with Peer(client, "/echo", behind=data) as peer:
            assert peer.closed()[0] == code
        assert client.statistics().faults == 1


def test_compression_is_agreed_on_and_used_where_it_helps():
    with Client(echo_app()) as client, Peer(client, "/echo", DEFLATE) as peer:
        agreed = peer.headers["sec-websocket-extensions"]
        assert "client_no_context_takeover" in agreed
        assert "server_no_context_takeover" in agreed
        text = b"so it goes " * 200
        for _ in range(2):
            peer.send(TEXT, packed(text), rsv=4)
            opcode, payload = peer.receive()
            assert opcode == 64 | TEXT
            assert len(payload) < len(text) / 10
            assert unpacked(payload) == text
        peer.send(TEXT, packed(b"short"), rsv=4)
        assert peer.receive() == (TEXT, b"short")
        noise = bytes(range(256)) * 4
        peer.send(BINARY, noise)
        peer.receive()
    window = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9"
    with Client(echo_app()) as client, Peer(client, "/echo", window) as peer:
        assert peer.headers["sec-websocket-extensions"].endswith("server_max_window_bits=9")
        peer.send(TEXT, text)
        assert unpacked(peer.receive()[1], 9) == text
    with Client(echo_app(compress=False)) as client, Peer(client, "/echo", DEFLATE) as peer:
        assert "sec-websocket-extensions" not in peer.headers


def test_a_bomb_is_defused():
    with Client(echo_app()) as client, Peer(client, "/echo", DEFLATE) as peer:
        peer.send(BINARY, packed(b"\0" * (2 << 20)), rsv=4)
        assert peer.closed() == (1009, "message too big")


@pytest.mark.parametrize(
    "declare",
    [
        lambda app: app.websocket("/")(lambda websocket: None),
        lambda app: app.websocket("no-slash")(echo),
        lambda app: app.websocket("/", backpressure="hope"),
        lambda app: app.websocket("/", unsent_bytes=0),
        lambda app: app.socket("/")(type("Deaf", (), {})),
    ],
    ids=["def", "path", "backpressure", "unsent", "no received"],
)
def test_what_cannot_be_served_is_said_at_start_up(declare):
    with pytest.raises((BadRoute, BadSettings)):
        declare(App())(echo)


async def echo(websocket):
    pass
