"""WebSockets by callbacks: an idle one holds nothing of Python's."""

import asyncio
import gc
import threading

import pytest

from megahertz import App, HTTPError, WebSocket
from megahertz.errors import LocalProtocolError
from megahertz.settings import Limits
from megahertz.testing import Client
from tests.http.peer import BINARY, CLOSE, TEXT, Peer, frame
from tests.http.test_websocket import Told


def serve(kind, path="/", **options):
    app = App()
    app.socket(path, **options)(kind)
    return app


def test_a_socket_opens_receives_and_closes():
    told = Told()

    class Feed:
        async def opened(self, websocket: WebSocket, room: str, at: int = 0):
            told((room, at, websocket.headers["host"]))

        async def received(self, websocket, message):
            told(message)
            await websocket.send(message)

        async def closed(self, websocket, code, reason):
            told((code, reason))

    early = frame(TEXT, b"early")
    with Client(serve(Feed, "/{room}")) as client, Peer(client, "/blue?at=3", behind=early) as peer:
        assert peer.text() == "early"
        peer.send(BINARY, b"\0")
        assert peer.receive() == (BINARY, b"\0")
        peer.send(CLOSE, b"\x0f\xa1bye")
        peer.closed()
    seen = [("blue", 3, "test"), "early", b"\0", (4001, "bye")]
    assert [told.next() for _ in seen] == seen


def test_one_message_after_the_other_and_then_the_end():
    told, go = Told(), threading.Event()

    class Slow:
        async def received(self, websocket, message):
            await asyncio.to_thread(go.wait)
            told(message)

        def closed(self, websocket, code, reason):
            told(code)

    with Client(serve(Slow), limits=Limits(unread_bytes=100)) as client:
        with Peer(client, "/") as peer:
            for number in range(20):
                peer.send(TEXT, b"%d" % number)
            peer.send(CLOSE)
            go.set()
            assert peer.closed() == (1005, "")
        expected = [*map(str, range(20)), 1005]
        assert [told.next() for _ in expected] == expected


def test_state_stays_with_its_socket_and_the_request_does_not():
    told = Told()

    class Counter:
        async def opened(self, websocket, start: int):
            websocket.state.n = start

        async def received(self, websocket, message):
            websocket.state.n += 1
            with pytest.raises(LocalProtocolError, match=r"websocket\.state"):
                _ = websocket.headers
            told((websocket.state.n, websocket.client.host))

    with (
        Client(serve(Counter)) as client,
        Peer(client, "/?start=1") as one,
        Peer(client, "/?start=10") as ten,
    ):
        for peer, n in ((one, 2), (ten, 11), (one, 3)):
            peer.send(TEXT, b"x")
            assert told.next() == (n, "127.0.0.1")


def test_state_that_begins_later_stays_too():
    told = Told()

    class Late:
        async def received(self, websocket, message):
            seen = getattr(websocket.state, "seen", [])
            websocket.state.seen = [*seen, message]
            told(websocket.state.seen)

    with Client(serve(Late)) as client, Peer(client, "/") as peer:
        peer.send(TEXT, b"a")
        peer.send(TEXT, b"b")
        assert [told.next(), told.next()] == [["a"], ["a", "b"]]


def test_a_socket_equals_itself_each_time():
    told, kept = Told(), set()

    class Known:
        async def opened(self, websocket):
            await websocket.accept()
            kept.add(websocket)
            assert websocket != 7

        async def received(self, websocket, message):
            told((websocket in kept, len(kept)))

        async def closed(self, websocket, code, reason):
            kept.discard(websocket)
            told(len(kept))

    with Client(serve(Known)) as client:
        with Peer(client, "/") as one, Peer(client, "/") as two:
            for peer in (one, two):
                peer.send(TEXT, b"x")
            assert [told.next(), told.next()] == [(True, 2), (True, 2)]
        assert sorted([told.next(), told.next()]) == [0, 1]


def test_an_idle_socket_holds_nothing_of_pythons():
    class Idle:
        async def received(self, websocket, message):
            await asyncio.sleep(0)
            await websocket.send(message)

    def alive():
        gc.collect()
        names = ("WebSocket", "Socket", "Exchange", "Request", "RequestTask")
        return [item for item in gc.get_objects() if type(item).__name__ in names]

    with Client(serve(Idle)) as client:
        counts, peers = [], []
        for _ in range(5):
            peers.append(Peer(client, "/"))
            for peer in peers:
                peer.send(TEXT, b"x")
                assert peer.text() == "x"
            client.statistics()
            counts.append(len(alive()))
        assert len(set(counts)) == 1
        assert client.statistics().running == 0
        for peer in peers:
            peer.socket.close()


@pytest.mark.parametrize("where", ["opened", "received", "closed"])
@pytest.mark.parametrize("suspends", [False, True], ids=["at once", "later"])
def test_an_error_of_a_callback_is_logged_and_ends_the_socket(where, suspends, caplog):
    told = Told()

    async def fail():
        if suspends:
            await asyncio.sleep(0)
        told("failed")
        raise RuntimeError("oh dear")

    class Broken:
        async def opened(self, websocket):
            await websocket.accept()
            if where == "opened":
                await fail()

        async def received(self, websocket, message):
            if where == "received":
                await fail()

        async def closed(self, websocket, code, reason):
            if where == "closed":
                await fail()
            told(code)

    with Client(serve(Broken)) as client:
        with Peer(client, "/") as peer:
            peer.send(TEXT, b"x")
            peer.send(TEXT, b"y")
            if where == "closed":
                peer.send(CLOSE)
            assert peer.closed()[0] == (1005 if where == "closed" else 1011)
        assert told.next() == "failed"
        if where == "received":
            assert told.next() == 1011
    assert "oh dear" in caplog.text


def test_opened_may_refuse():
    class Refusing:
        async def opened(self, websocket, how: str):
            if how == "close":
                return await websocket.close()
            raise HTTPError(401)

        async def received(self, websocket, message):
            pass

    with Client(serve(Refusing)) as client:
        for how, status in (("close", 403), ("raise", 401)):
            with Peer(client, f"/?how={how}") as peer:
                assert peer.status == status


def test_a_stop_cancels_a_callback_and_still_says_goodbye():
    told = Told()

    class Stuck:
        async def received(self, websocket, message):
            try:
                told("begins")
                await asyncio.Event().wait()
            finally:
                told("cancelled")

        async def closed(self, websocket, code, reason):
            told(code)

    with Client(serve(Stuck), limits=Limits(close_timeout=0.01)) as client:
        peer = Peer(client, "/")
        peer.send(TEXT, b"x")
        assert told.next() == "begins"
    assert (told.next(), told.next()) == ("cancelled", 1006)
    peer.socket.close()
