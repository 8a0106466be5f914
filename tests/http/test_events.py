import asyncio
import threading

import pytest

from megahertz import App, Event, Events, Request
from megahertz.errors import LocalProtocolError
from megahertz.http import last_event_id
from megahertz.http.events import Pulse, render
from megahertz.testing import Client
from tests.http.test_websocket import Told


@pytest.mark.parametrize(
    ("item", "lines"),
    [
        ("text", "data: text\n\n"),
        ("a\nb\r\nc\rd", "data: a\ndata: b\ndata: c\ndata: d\n\n"),
        ("", "data: \n\n"),
        ({"a": [1]}, 'data: {"a":[1]}\n\n'),
        (Event("x", event="e", id="7", retry=1.5), "event: e\nid: 7\nretry: 1500\ndata: x\n\n"),
        (Event(id=""), "id: \n\n"),
        (Event(retry=0.0), "retry: 0\n\n"),
        (Event("ä"), "data: ä\n\n"),
    ],
)
def test_an_event_is_what_the_standard_says(item, lines):
    assert render(item) == lines.encode()


@pytest.mark.parametrize("wrong", [{"id": "a\nb"}, {"id": "a\0"}, {"event": "a\rdata: b"}])
def test_an_event_that_could_split_the_stream_is_refused(wrong):
    with pytest.raises(LocalProtocolError):
        render(Event("x", **wrong))


def test_a_stream_of_events():
    app = App()

    @app.get("/")
    async def events(request: Request) -> Events:
        async def numbers():
            seen = last_event_id(request)
            for number in range(int(seen or 0), 3):
                yield Event(number, id=str(number + 1))

        return Events(numbers(), headers={"x-y": "z"})

    with Client(app) as client:
        whole = client.get("/")
        rest = client.get("/", headers={"last-event-id": "2"})
    assert whole.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (whole.headers["cache-control"], whole.headers["x-y"]) == ("no-store", "z")
    assert whole.text == "".join(f"id: {n + 1}\ndata: {n}\n\n" for n in range(3))
    assert rest.text == "id: 3\ndata: 2\n\n"


def test_a_silent_stream_has_a_heartbeat():
    app = App()
    go = threading.Event()

    @app.get("/")
    async def events() -> Events:
        async def one():
            await asyncio.to_thread(go.wait)
            yield "late"

        return Events(one(), heartbeat=0.001)

    with Client(app) as client, client.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        while data.count(b":\n\n") < 2:
            data += peer.recv(65_536)
        go.set()
        while piece := peer.recv(65_536):
            data += piece
    assert b"data: late\n\n" in data


def test_the_generator_ends_once_when_the_client_goes():
    app, told = App(), Told()

    @app.get("/")
    async def events() -> Events:
        async def endless():
            try:
                while True:
                    yield "tick"
                    await asyncio.Event().wait()
            finally:
                told("closed")

        return Events(endless())

    with Client(app) as client:
        with client.connect() as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            data = b""
            while b"tick" not in data:
                data += peer.recv(65_536)
        assert told.next() == "closed"
        assert client.statistics().gone == 1
    assert told._said == []


class Timers:
    """A loop of which only the clock moves."""

    def __init__(self):
        self.now, self.due = 0.0, []

    def time(self):
        return self.now

    def call_later(self, delay, callback):
        self.due.append((self.now + delay, callback))
        return self

    def cancel(self):
        self.due.clear()


class Written:
    closed = False

    def __init__(self):
        self.data = []

    def write(self, data):
        self.data.append(data)
        return True


async def test_an_event_moves_the_heartbeat(monkeypatch):
    timers, exchange = Timers(), Written()
    monkeypatch.setattr("megahertz.http.events.asyncio.get_running_loop", lambda: timers)
    pulse = Pulse(exchange, 10)
    timers.now = 8
    pulse.beat()
    for now, expected in ((10, 0), (18, 1), (28, 2)):
        when, callback = timers.due.pop()
        assert when == now
        timers.now = now
        callback()
        assert len(exchange.data) == expected
    exchange.closed = True
    timers.due.pop()[1]()
    assert timers.due == []
    pulse.stop()
