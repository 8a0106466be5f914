import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.responses import PlainTextResponse

from megahertz.settings import Limits
from megahertz.testing import Client
from tests.http.peer import BINARY, CLOSE, TEXT, Peer, frame
from tests.http.test_websocket import Told


def test_fastapi_serves_a_socket():
    app, told = FastAPI(), Told()

    @app.websocket("/rooms/{room}")
    async def rooms(websocket: WebSocket, room: str):
        told((websocket.url.scheme, websocket.scope["subprotocols"], websocket.client.host))
        await websocket.accept("b", headers=[(b"x-room", room.encode())])
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message["code"], message["reason"])
                await websocket.send_text(message.get("text") or "")
                await websocket.send_bytes(message.get("bytes") or b"")
        except WebSocketDisconnect as gone:
            told((gone.code, gone.reason))

    with (
        Client(app) as client,
        Peer(client, "/rooms/blue", "Sec-WebSocket-Protocol: a, b") as peer,
    ):
        assert (peer.headers["x-room"], peer.headers["sec-websocket-protocol"]) == ("blue", "b")
        peer.send(TEXT, b"hello")
        assert [peer.receive(), peer.receive()] == [(TEXT, b"hello"), (BINARY, b"")]
        peer.send(BINARY, b"\0")
        assert [peer.receive(), peer.receive()] == [(TEXT, b""), (BINARY, b"\0")]
        peer.send(CLOSE, b"\x0f\xa1bye")
        peer.closed()
    assert told.next() == ("ws", ["a", "b"], "127.0.0.1")
    assert told.next() == (4001, "bye")


@pytest.mark.parametrize("how", ["close", "deny", "none"])
def test_fastapi_refuses_a_socket(how):
    app = FastAPI()

    @app.websocket("/")
    async def refuse(websocket: WebSocket):
        if how == "close":
            await websocket.close()
        elif how == "deny":
            denial = PlainTextResponse("no", 401, {"x-why": "because"})
            await websocket.send_denial_response(denial)

    with Client(app) as client:
        with Peer(client, "/") as peer:
            assert peer.status == {"close": 403, "deny": 401, "none": 500}[how]
            assert peer.headers.get("x-why") == ("because" if how == "deny" else None)
        with Peer(client, "/nothing") as peer:
            assert peer.status == 403


def test_fastapi_closes_a_socket_with_its_own_code():
    app = FastAPI()

    @app.websocket("/")
    async def policy(websocket: WebSocket):
        await websocket.accept()
        await websocket.close(1008, "policy test")

    with Client(app) as client, Peer(client, "/") as peer:
        assert peer.closed() == (1008, "policy test")


def raw(script):
    async def app(scope, receive, send):
        assert scope["type"] == "websocket"
        await script(receive, send)

    return app


def test_who_receives_before_the_decision_hears_of_it():
    """Django Channels does: granian's issue 818 is a server that left it waiting."""
    told = Told()

    async def script(receive, send):
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.close"})
        told(await receive())
        told(await receive())

    with Client(raw(script)) as client, Peer(client, "/") as peer:
        assert peer.status == 403
    gone = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert [told.next(), told.next()] == [gone, gone]


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([{"type": "websocket.send", "text": "early"}], 500),
        ([{"type": "websocket.http.response.body"}], 500),
        ([{"type": "websocket.http.response.start", "status": 401}], 500),
        (
            [
                {"type": "websocket.http.response.start", "status": 401},
                {"type": "websocket.http.response.body", "body": b"a", "more_body": True},
                {"type": "websocket.http.response.body", "body": b"b"},
                {"type": "websocket.accept"},
            ],
            500,
        ),
        ([{"type": "websocket.close"}, {"type": "websocket.accept"}], 500),
    ],
    ids=["send", "body", "no body", "accept after denial", "accept after close"],
)
def test_messages_out_of_order_before_the_handshake(messages, status):
    async def script(receive, send):
        for message in messages:
            await send(message)

    with Client(raw(script)) as client, Peer(client, "/") as peer:
        assert peer.status == status


@pytest.mark.parametrize(
    "wrong",
    [{"type": "websocket.accept"}, {"type": "websocket.send"}, {"type": "http.response.start"}],
    ids=["accept", "send nothing", "http"],
)
def test_messages_out_of_order_after_it(wrong):
    async def script(receive, send):
        await send({"type": "websocket.accept"})
        await send(wrong)

    with Client(raw(script)) as client, Peer(client, "/") as peer:
        assert peer.closed()[0] == 1011


def test_sending_to_who_has_gone_is_an_oserror():
    told = Told()

    async def script(receive, send):
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.connect"
        assert (await receive())["code"] == 1006
        try:
            await send({"type": "websocket.send", "text": "x"})
        except OSError:
            told("gone")

    with Client(raw(script)) as client:
        Peer(client, "/").socket.close()
        assert told.next() == "gone"


def test_a_sender_waits_for_a_slow_reader():
    told = Told()

    async def script(receive, send):
        await send({"type": "websocket.accept"})
        for _ in range(200):
            await send({"type": "websocket.send", "bytes": b"x" * 65_536})
        told("sent")

    limits = Limits(unsent_bytes=65_536)
    with Client(raw(script), limits=limits) as client, Peer(client, "/") as peer:
        for _ in range(200):
            assert peer.receive() == (BINARY, b"x" * 65_536)
        assert told.next() == "sent"
        peer.socket.sendall(frame(CLOSE))
