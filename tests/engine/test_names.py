"""Addresses of names: kept for a while, and longer where nobody can be asked."""

import asyncio
import contextlib
import socket
import threading

import pytest

from megahertz.engine import Origin, Pool, names
from megahertz.errors import ConnectError

from .origin import OK, Peer, peered, turns


class Looks:
    """getaddrinfo as the test wants it."""

    def __init__(self, *addresses: str) -> None:
        self.addresses, self.asked = addresses, 0
        self.free = threading.Event()
        self.free.set()

    def __call__(self, host, port, family, kind):
        self.free.wait(10)
        self.asked += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [(2, kind, 6, "", (address, port)) for address in self.addresses]


async def test_a_name_is_asked_for_once_and_kept(monkeypatch):
    look = Looks("10.0.0.1", "10.0.0.2")
    known = names.Names(look)
    assert known.known("10.1.1.1", 1) == [("10.1.1.1", 1)]
    assert known.known("::1", 1) == [("::1", 1)]
    assert known.known("a", 80) is None
    both = await asyncio.gather(known.find("a", 80), known.find("a", 80))
    assert both == [[("10.0.0.1", 80), ("10.0.0.2", 80)]] * 2
    assert look.asked == 1 and known.known("a", 80) == both[0]
    monkeypatch.setattr(known, "_loop", Later(known._loop, names.TTL))
    assert known.known("a", 80) is None
    known.close()


class Later:
    """The loop, some time ahead."""

    def __init__(self, loop, seconds):
        self._loop, self._seconds = loop, seconds

    def time(self):
        return self._loop.time() + self._seconds

    def __getattr__(self, name):
        return getattr(self._loop, name)


async def test_what_was_found_is_used_while_nobody_can_be_asked(monkeypatch):
    look = Looks("10.0.0.1")
    known = names.Names(look)
    found = await known.find("a", 80)
    look.addresses = ()
    monkeypatch.setattr(known, "_loop", Later(known._loop, names.TTL))
    assert await known.find("a", 80) == found == known.known("a", 80)
    with pytest.raises(OSError, match="try again"):
        await known.find("b", 80)
    known.close()


async def test_names_are_bounded(monkeypatch):
    monkeypatch.setattr(names, "MOST", 2)
    known = names.Names(Looks("10.0.0.1"))
    for host in "abc":
        await known.find(host, 80)
    assert [known.known(host, 80) is None for host in "abc"] == [True, False, False]
    known.close()
    names.Names(Looks()).close()


async def test_the_next_address_is_tried_where_one_refuses():
    """127.0.0.2 has nobody; the second address answers."""
    look = Looks("::2", "127.0.0.2", "127.0.0.1")
    async with peered(host="a.test", names=lambda: names.Names(look)) as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        asked = await peer.heard.get()
        assert asked.fields["host"] == f"a.test:{origin.port}"
        await asked.say(OK)
        assert (await sent).status == 200
        assert pool.statistics().dialled == 1


async def test_an_address_that_does_not_answer_is_not_waited_for():
    """RFC 8305: the next one is tried beside it; here the first one's backlog is full."""
    with socket.socket() as deaf, contextlib.ExitStack() as knocking:
        deaf.bind(("127.0.0.2", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        for _ in range(4):  # Linux takes one more than it was told
            knock = knocking.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(("127.0.0.2", port))
        peer = Peer()
        async with await asyncio.start_server(peer.serve, "127.0.0.1", port):
            pool = Pool(names=lambda: names.Names(Looks("127.0.0.2", "127.0.0.1")))
            sent = asyncio.ensure_future(pool.send(Origin("http", "a.test", port), "GET", "/"))
            asked = await peer.heard.get()
            await asked.say(OK)
            assert (await sent).status == 200
            assert pool.statistics().open == 1
            await pool.aclose()
            await turns()


async def test_who_cannot_be_found_is_no_connection():
    async with peered(host="a.test", names=lambda: names.Names(Looks())) as (_, origin, pool):
        with pytest.raises(ConnectError, match=r"a\.test"):
            await pool.send(origin, "GET", "/")


async def test_a_look_up_has_the_time_of_a_connection():
    look = Looks("127.0.0.1")
    look.free.clear()
    options = {"host": "a.test", "names": lambda: names.Names(look), "connect_timeout": 0.02}
    async with peered(**options) as (_, origin, pool):
        with pytest.raises(ConnectError, match="in time"):
            await pool.send(origin, "GET", "/")
        look.free.set()
