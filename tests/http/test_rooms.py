"""Rooms on one worker: who is in, who gets what, and what a slow reader costs."""

from contextlib import ExitStack

import pytest

from megahertz import App, Rooms, WebSocket
from megahertz.errors import BadSettings, ConnectError, LocalProtocolError
from megahertz.settings import Limits
from megahertz.testing import Client
from tests.http.peer import BINARY, CLOSE, DEFLATE, TEXT, Peer, unpacked

SHORT = Limits(close_timeout=0.01)
"""Peers that a test leaves open do not answer the server's goodbye."""


def chat(rooms=None, **options):
    """Says what it hears to everybody in the room of the path; `leave` leaves."""
    rooms = Rooms() if rooms is None else rooms
    app = App(resources=[rooms])

    @app.socket("/{room}", **options)
    class Chat:
        async def opened(self, websocket: WebSocket, room: str):
            await websocket.accept()
            websocket.state.room = rooms[room]
            assert rooms[room].join(websocket)
            assert not rooms[room].join(websocket)
            await websocket.send(f"{len(rooms[room])} here")

        async def received(self, websocket, message):
            room = websocket.state.room
            if message == "leave":
                assert room.leave(websocket)
                assert not room.leave(websocket)
                await websocket.send("left")
            elif message == "others":
                await websocket.send(str(await room.broadcast("to you", skip=websocket)))
            else:
                await room.broadcast(message)

    @app.get("/say/{room}/{text}")
    async def say(room: str, text: str) -> int:
        return await rooms[room].broadcast(text)

    @app.get("/count/{room}")
    async def count(room: str) -> tuple[int, bool, str]:
        return len(rooms[room]), bool(rooms[room]), repr(rooms[room])

    return app


@pytest.fixture
def enter():
    with ExitStack() as stack:

        def come(client, room="a", *fields):
            peer = stack.enter_context(Peer(client, f"/{room}", *fields))
            peer.text()
            return peer

        yield come


def test_everybody_in_the_room_gets_it_and_nobody_else(enter):
    with Client(chat(), limits=SHORT) as client:
        peers = [enter(client) for _ in range(3)]
        other = enter(client, "b")
        peers[0].send(TEXT, b"hello")
        assert [peer.text() for peer in peers] == ["hello"] * 3
        peers[0].send(BINARY, b"\0")
        assert [peer.receive() for peer in peers] == [(BINARY, b"\0")] * 3
        peers[0].send(TEXT, b"others")
        assert [peer.text() for peer in peers] == ["2", "to you", "to you"]
        assert client.get("/say/a/news").json() == 3
        assert [peer.text() for peer in peers] == ["news"] * 3
        assert client.get("/say/nobody/news").json() == 0
        other.send(TEXT, b"alone")
        assert other.text() == "alone"
        assert client.get("/count/a").json() == [3, True, "<Room a with 3 here>"]


def test_who_leaves_or_goes_is_out(enter):
    with Client(chat(), limits=SHORT) as client:
        peers = [enter(client) for _ in range(5)]
        peers[1].send(TEXT, b"leave")
        assert peers[1].text() == "left"
        peers[0].send(CLOSE)
        assert peers[0].closed() == (1005, "")
        assert client.get("/count/a").json()[0] == 3
        assert client.get("/say/a/x").json() == 3
        assert [peer.text() for peer in peers[2:]] == ["x"] * 3
        for peer in peers[1:]:
            peer.send(CLOSE)
            peer.closed()
        assert client.get("/count/a").json() == [0, True, "<Room a with 0 here>"]
        with enter(client) as again:
            again.send(TEXT, b"anew")
            assert again.text() == "anew"


def test_a_socket_may_be_in_many_rooms():
    rooms = Rooms()
    app = App(resources=[rooms])

    @app.websocket("/")
    async def many(websocket):
        await websocket.accept()
        for name in "abc":
            rooms[name].join(websocket)
        rooms["b"].leave(websocket)
        for name in "abc":
            await rooms[name].broadcast(name)
        async for _ in websocket:
            pass

    with Client(app, limits=SHORT) as client, Peer(client, "/") as first:
        assert [first.text(), first.text()] == ["a", "c"]
        with Peer(client, "/") as second:
            assert [second.text(), second.text()] == ["a", "c"]
            assert [first.text(), first.text()] == ["a", "c"]
            second.send(CLOSE)
            second.closed()
        with Peer(client, "/") as third:
            assert [third.text(), third.text()] == ["a", "c"]
            assert [first.text(), first.text()] == ["a", "c"]


def test_each_receiver_gets_the_encoding_it_agreed_to(enter):
    text = "so it goes " * 200
    with Client(chat(), limits=SHORT) as client:
        plain, packing = enter(client), enter(client, "a", DEFLATE)
        narrow = enter(client, "a", f"{DEFLATE}; server_max_window_bits=9")
        plain.send(TEXT, text.encode())
        assert plain.text() == text
        opcode, payload = packing.receive()
        assert (opcode, unpacked(payload)) == (64 | TEXT, text.encode())
        opcode, payload = narrow.receive()
        assert (opcode, unpacked(payload, 9)) == (64 | TEXT, text.encode())


SIZE = 60_000
FLOOD = 400
"""Of 24 MB nobody's socket buffers hold all."""


def number_of(peer):
    return int(peer.text().rstrip("."))


@pytest.mark.parametrize("backpressure", ["wait", "drop"])
def test_a_slow_reader_loses_the_oldest_whole_messages_and_holds_up_nobody(enter, backpressure):
    app = chat(backpressure=backpressure, unsent_bytes=5 * SIZE)
    with Client(app, limits=SHORT) as client:
        slow, quick = enter(client), enter(client)
        for number in range(FLOOD):
            quick.send(TEXT, str(number).ljust(SIZE, ".").encode())
            assert number_of(quick) == number
        assert client.statistics().dropped > 0
        got = [number_of(slow)]
        while got[-1] != FLOOD - 1:
            got.append(number_of(slow))
        assert got == sorted(set(got))
        assert len(got) + client.statistics().dropped == FLOOD
        assert got[:2] == [0, 1]
        assert got[-4:] == list(range(FLOOD - 4, FLOOD))


def test_a_slow_reader_is_closed_where_the_route_says_so(enter):
    with Client(chat(backpressure="close", unsent_bytes=SIZE)) as client:
        slow, quick = enter(client), enter(client)
        for number in range(FLOOD):
            quick.send(TEXT, str(number).ljust(SIZE, ".").encode())
            quick.text()
        assert client.get("/say/a/x").json() == 1
        assert quick.text() == "x"
        got = []
        while (item := slow.receive())[0] == TEXT:
            got.append(int(item[1].rstrip(b".")))
        assert item == (CLOSE, b"\x03\xf5too slow")
        slow.socket.close()
        assert got == list(range(len(got)))
        quick.send(CLOSE)
        assert quick.closed() == (1005, "")


def test_a_sender_waits_for_its_peer():
    app = App()

    @app.websocket("/", unsent_bytes=SIZE)
    async def flood(websocket):
        await websocket.accept()
        for number in range(FLOOD):
            await websocket.send(str(number).ljust(SIZE, "."))

    with Client(app, limits=SHORT) as client, Peer(client, "/") as peer:
        assert [number_of(peer) for _ in range(FLOOD)] == list(range(FLOOD))
        assert peer.closed() == (1000, "")
        assert client.statistics().dropped == 0


def test_a_peer_that_pings_and_does_not_read_costs_16_kib(enter):
    app = chat(backpressure="drop", unsent_bytes=5 * SIZE)
    with Client(app, limits=SHORT) as client:
        slow, quick = enter(client), enter(client)
        for number in range(FLOOD):
            quick.send(TEXT, str(number).ljust(SIZE, ".").encode())
            quick.text()
        for number in range(2000):
            slow.send(9, b"%0125d" % number)
        slow.send(TEXT, b"leave")
        while client.statistics().messages <= FLOOD:
            pass  # the server has read all of them before its peer reads anything
        pongs = []
        while (item := slow.receive()) != (TEXT, b"left"):
            pongs += [int(item[1])] if item[0] == 10 else []
        assert pongs == sorted(pongs)
        assert pongs[-1] == 1999
        # 16 KiB of ours, and what the kernel still had room for.
        assert len(pongs) < 1000


def test_a_peer_that_is_not_received_from_is_not_read():
    app = App()

    @app.websocket("/")
    async def deaf(websocket):
        await websocket.accept()
        await websocket.send("ready")
        while True:
            if await websocket.receive() == "last":
                break

    limits = Limits(unread_bytes=1000)
    with Client(app, limits=limits) as client, Peer(client, "/") as peer:
        peer.text()
        for _ in range(50):
            peer.send(TEXT, b"x" * 10_000)
        peer.send(TEXT, b"last")
        assert peer.closed() == (1000, "")
        assert client.statistics().messages == 51


def test_a_name_that_is_no_file_name():
    with pytest.raises(BadSettings):
        Rooms("../other")


class Absent:
    """A broker that is not there."""

    def subscribe(self, channel, receive):
        self.receive = receive
        return self

    async def __aenter__(self):
        pass

    async def __aexit__(self, *exc):
        pass

    async def publish(self, channel, message):
        raise ConnectError("not there")


def test_without_its_broker_a_room_is_still_a_room(enter, caplog):
    broker = Absent()
    rooms = Rooms(broker=broker)
    with Client(chat(rooms), limits=SHORT) as client:
        peer = enter(client)
        assert client.get("/say/a/x").status_code == 503
        assert peer.text() == "x"
        client._loop.call_soon_threadsafe(broker.receive, b"\xc1nonsense")
        assert client.get("/say/a/y").status_code == 503
        assert peer.text() == "y"
        assert (rooms.statistics().published, rooms.statistics().received) == (2, 0)
    assert "nonsense" not in caplog.text
    assert "that is none" in caplog.text


def test_a_message_is_text_or_bytes():
    app = App()

    @app.websocket("/")
    async def wrong(websocket):
        with pytest.raises(LocalProtocolError):
            rooms["a"].join(websocket)
        await websocket.accept()
        rooms["a"].join(websocket)
        with pytest.raises(TypeError):
            await rooms["a"].broadcast(7)

    rooms = Rooms()
    with Client(app, limits=SHORT) as client, Peer(client, "/") as peer:
        assert peer.closed() == (1000, "")
