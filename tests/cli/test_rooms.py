"""Rooms over processes: the workers of one machine by their bus, machines by Redis."""

import os
import signal
import socket
from contextlib import ExitStack

import pytest

from tests.http.peer import CLOSE, TEXT, Peer

CHAT = """
import os
from megahertz import App, Rooms, WebSocket
from megahertz.backends import RedisBroker

url = os.environ.get("REDIS_URL")
rooms = Rooms(broker=RedisBroker(url) if url else None)
app = App(resources=[rooms])

@app.socket("/chat")
class Chat:
    async def opened(self, websocket: WebSocket):
        await websocket.accept()
        rooms["all"].join(websocket)
        await websocket.send(os.environ.get("MEGAHERTZ_WORKER", "alone"))
        await websocket.send(str(os.getpid()))

    async def received(self, websocket, message):
        if message == "statistics":
            await websocket.send(repr(rooms.statistics()))
        else:
            await rooms["all"].broadcast(message)
"""

ANY = ("--host", "127.0.0.1", "--port", "0", "--limit", "close_timeout=0.1")


class Port:
    """What a peer connects to."""

    def __init__(self, served):
        self._port = int(served.url.rsplit(":", 1)[1])

    def connect(self):
        return socket.create_connection(("127.0.0.1", self._port), 20)


@pytest.fixture
def enter():
    with ExitStack() as stack:

        def come(served):
            peer = stack.enter_context(Peer(Port(served), "/chat"))
            return peer.text(), int(peer.text()), peer

        yield come


@pytest.fixture
def chat(serve, tmp_path):
    (tmp_path / "chat.py").write_text(CHAT)

    def start(*arguments, **env):
        return serve("chat:app", *ANY, *arguments, **env).wait_for_url()

    return start


def each_worker(enter, served, count):
    """A peer on each worker: the kernel spreads connections by their port, so some are closed."""
    found = {}
    for _ in range(200):
        index, pid, peer = enter(served)
        if index not in found:
            found[index] = (pid, peer)
        else:
            peer.send(CLOSE)
            peer.closed()
        if len(found) == count:
            return [found[index] for index in sorted(found)]
    raise AssertionError(f"only {len(found)} workers were met")


def test_a_broadcast_reaches_every_worker_once(chat, enter, until):
    served = chat("--workers", "3")
    workers = each_worker(enter, served, 3)
    for text in ("one", "two", "x" * 1_000_000):
        workers[0][1].send(TEXT, text.encode())
        assert [peer.text() for _, peer in workers] == [text] * 3
    workers[1][1].send(TEXT, b"statistics")
    assert workers[1][1].text() == "RoomStatistics(published=0, received=3, lost=0)"

    os.kill(workers[2][0], signal.SIGKILL)
    workers[0][1].send(TEXT, b"without it")
    assert [peer.text() for _, peer in workers[:2]] == ["without it"] * 2

    def again():
        try:
            index, pid, peer = enter(served)
        except (OSError, EOFError):
            return None  # the one that is dying was still in the kernel's choice
        return (pid, peer) if index == "2" and pid != workers[2][0] else None

    _, peer = until(again)
    workers[0][1].send(TEXT, b"with it")
    assert peer.text() == "with it"
    for _, peer in workers[:2]:
        peer.socket.close()
    served.process.terminate()
    assert served.process.wait(20) == 0


def test_a_broadcast_reaches_other_machines_through_redis(chat, enter, redis_server, until):
    here = chat(REDIS_URL=redis_server.url)
    there = chat("--workers", "2", REDIS_URL=redis_server.url)
    (_, first), (_, second) = each_worker(enter, there, 2)
    _, _, third = enter(here)
    for sender in (first, second, third):
        sender.send(TEXT, "grüß dich".encode())
        assert [peer.text() for peer in (first, second, third)] == ["grüß dich"] * 3

    redis_server.stop()
    third.send(TEXT, b"alone")
    assert third.text() == "alone"
    assert third.closed()[0] == 1011
    redis_server.start()
    assert until(lambda: _hears(second, enter(here)[2]))


def _hears(listener, sender):
    """Publishing and subscribing again takes a moment, of which nobody tells."""
    sender.send(TEXT, b"again")
    sender.text()
    sender.send(TEXT, b"statistics")
    if sender.receive()[0] == CLOSE:
        return None  # it could not be published
    listener.socket.settimeout(0.2)
    try:
        return listener.text()
    except TimeoutError:
        return None
