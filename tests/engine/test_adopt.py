"""Connections that somebody else has made: no port, and what is known of them is told."""

import asyncio
import socket

import pytest

from tests.engine.conftest import Peer


async def show(exchange):
    return [exchange.peer, exchange.local, exchange.secure, exchange.connection]


async def adopt(site, **known) -> tuple[Peer, int | None]:
    ours, theirs = socket.socketpair()
    with theirs:
        connection = site.server.adopt(theirs, **known)
    peer = Peer(*await asyncio.open_connection(sock=ours))
    site.peers.append(peer)
    return peer, connection


async def test_an_adopted_connection_is_served_as_any_other(serve):
    async with serve({"GET /": show}) as site:
        peer, connection = await adopt(site)
        for _ in range(2):
            reply = await peer.get("/")
            assert reply.body.decode() == f"[null,null,false,{connection}]"
        assert site.server.statistics().accepted == 1


async def test_its_addresses_and_its_cover_are_what_was_told(serve):
    async with serve({"GET /": show}) as site:
        known = {"peer": ("shop", 50_000), "local": ("server", 443), "secure": True}
        peer, connection = await adopt(site, **known)
        expected = f'[["shop",50000],["server",443],true,{connection}]'
        assert (await peer.get("/")).body.decode() == expected


async def test_its_handler_can_be_had_while_it_runs(serve):
    entered, leave = asyncio.Event(), asyncio.Event()

    async def handler(exchange):
        exchange.start(200, [])
        exchange.end()
        entered.set()
        await leave.wait()
        raise ValueError("late")

    async with serve({"GET /": handler}) as site:
        peer, connection = await adopt(site)
        _, other = await adopt(site)
        await peer.get("/")
        await entered.wait()
        task = site.server.task(connection)
        assert site.server.task(other) is None
        leave.set()
        await asyncio.wait([task])
        assert isinstance(task.exception(), ValueError)
        assert site.server.task(connection) is None


async def test_no_more_than_the_limit_are_adopted(serve):
    async with serve({"GET /": show}, connections=1) as site:
        await adopt(site)
        assert (await adopt(site))[1] is None
        assert site.server.statistics().full == 1


async def test_what_is_no_open_socket_is_refused(serve):
    with socket.socket() as closed:
        pass
    async with serve({"GET /": show}) as site:
        with pytest.raises(ValueError, match="closed socket"):
            site.server.adopt(closed)
