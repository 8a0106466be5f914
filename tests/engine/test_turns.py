"""How long the engine keeps the loop: while there is much to do, and no longer."""

import asyncio
import socket
from contextlib import ExitStack

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


async def two(site, stack):
    """Two connections that the server knows, without asyncio's buffers.

    Of a local kind: what is sent is there at once. By loopback it may wait for ksoftirqd.
    """
    loop = asyncio.get_running_loop()
    found = []
    for _ in range(2):
        peer, theirs = map(stack.enter_context, socket.socketpair())
        site.server.adopt(theirs)
        peer.setblocking(False)
        await loop.sock_sendall(peer, REQUEST)
        await loop.sock_recv(peer, 65536)
        found.append(peer)
    return found


async def test_requests_that_come_while_others_are_served_come_before_the_loop(serve):
    loop, order, peers = asyncio.get_running_loop(), [], []
    done = asyncio.Event()

    async def more(exchange):
        order.append("request")
        if peers and len(order) == 1:
            loop.call_soon(order.append, "loop")
            loop.call_soon(done.set)
            for peer in peers:
                peer.send(REQUEST)

    async with serve({"GET /": more}) as site:
        with ExitStack() as stack:
            peers += await two(site, stack)
            order.clear()
            for peer in peers:
                peer.send(REQUEST)
            await asyncio.wait_for(done.wait(), 20)
    assert order[:5] == ["request"] * 4 + ["loop"]


async def test_the_loop_has_its_turn_however_much_comes(serve):
    loop, peers = asyncio.get_running_loop(), []
    served, done = 0, asyncio.Event()

    async def again(exchange):
        nonlocal served
        served += 1
        if served == 3:
            loop.call_soon(done.set)
        if peers and not done.is_set() and served < 20_000:
            peer = peers[served % 2]
            try:
                peer.recv(65536)
            except BlockingIOError:
                pass
            peer.send(REQUEST)

    async with serve({"GET /": again}) as site:
        with ExitStack() as stack:
            peers += await two(site, stack)
            for peer in peers:
                peer.send(REQUEST)
            await asyncio.wait_for(done.wait(), 20)
            assert served < 20_000
