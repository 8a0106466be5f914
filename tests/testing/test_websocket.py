import pytest

from megahertz import App, HTTPError, WebSocketDisconnect
from megahertz.settings import Limits
from megahertz.testing import Client


def make():
    app = App()

    @app.websocket("/echo")
    async def echo(websocket):
        await websocket.accept((*websocket.subprotocols, None)[0])
        async for message in websocket:
            if message == "close":
                await websocket.close(4000, "as asked")
            await websocket.send(message)

    @app.websocket("/broken")
    async def broken(websocket):
        await websocket.accept()
        await websocket.receive()
        while websocket._socket.send(b"x" * 100_000):
            pass  # so that no close frame fits behind it
        websocket._socket.engine.close()

    return app


@pytest.fixture
def client():
    with Client(make(), limits=Limits(ping_interval=0.01, message_bytes=1 << 20)) as client:
        yield client


def test_messages_of_every_size(client):
    with client.websocket_connect("/echo") as websocket:
        for size in (0, 125, 126, 65_535, 65_536, 1_000_000):
            websocket.send_bytes(b"x" * size)
            assert websocket.receive_bytes() == b"x" * size
        websocket.send_text("ä")
        assert websocket.receive_text() == "ä"
        websocket.send_json({"a": [1]})
        assert websocket.receive_json() == {"a": [1]}
        websocket.send_text("t")
        with pytest.raises(AssertionError):
            websocket.receive_bytes()
        websocket.send_bytes(b"b")
        with pytest.raises(AssertionError):
            websocket.receive_text()


def test_a_subprotocol_is_agreed_on(client):
    with client.websocket_connect("/echo", subprotocols=["a", "b"]) as websocket:
        assert websocket.accepted_subprotocol == "a"
    with client.websocket_connect("/echo", headers={"x-y": "z"}) as websocket:
        assert websocket.accepted_subprotocol is None


def test_the_server_closes(client):
    with client.websocket_connect("/echo") as websocket:
        websocket.send_text("close")
        with pytest.raises(WebSocketDisconnect) as gone:
            websocket.receive()
        assert (gone.value.code, gone.value.reason) == (4000, "as asked")


def test_the_server_refuses(client):
    with pytest.raises(HTTPError) as refused:
        client.websocket_connect("/nothing")
    assert refused.value.status_code == 404


def test_the_server_goes_without_a_word(client):
    with client.websocket_connect("/broken") as websocket:
        websocket.send_text("go")
        with pytest.raises(WebSocketDisconnect) as gone:
            while websocket.receive():
                pass
        assert gone.value.code == 1006
        with pytest.raises(WebSocketDisconnect):
            for _ in range(100):
                websocket.send_bytes(b"x" * 100_000)
