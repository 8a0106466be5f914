"""How it ends: peers that leave, servers that stop."""

import asyncio
import socket
import subprocess
import sys

import pytest

from .conftest import until

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Gate:
    """A handler that waits, and tells how it ended."""

    def __init__(self):
        self.open = asyncio.Event()
        self.ended: list[object] = []

    async def __call__(self):
        try:
            await self.open.wait()
        except asyncio.CancelledError as error:
            self.ended.append(error.args)
            raise
        self.ended.append("answered")
        return "done"


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_peer_that_leaves_cancels_its_handler_once(serve, how):
    gate = Gate()
    async with serve({"GET /": (gate.__call__, {"bare": True})}) as site:
        peer = await site.peer()
        await peer.send(ASK)
        await until(lambda: site.server.statistics().running == 1)
        getattr(peer, how)()
        await until(lambda: site.server.statistics().running == 0)
        assert gate.ended == [("client disconnected",)]
        assert site.server.statistics().gone == 1
        assert site.service.failures == []


async def test_a_handler_may_refuse_to_be_cancelled(serve):
    finished = []

    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            finished.append(True)
            return "nobody hears this"

    async with serve({"GET /": (stubborn, {"bare": True})}) as site:
        peer = await site.peer()
        await peer.send(ASK)
        await until(lambda: site.server.statistics().running == 1)
        peer.close()
        await until(lambda: bool(finished))
        assert (await (await site.peer()).get("/nope")).status == 404


async def test_a_slot_used_again_is_another_connection(serve):
    """The answer of a request whose peer left must not reach who took its place."""
    gates = [asyncio.Event(), asyncio.Event()]
    count = 0

    async def shielded():
        nonlocal count
        mine, count = count, count + 1
        try:
            await gates[mine].wait()
        except asyncio.CancelledError:
            await gates[mine].wait()
        return f"answer {mine}"

    async with serve({"GET /": (shielded, {"bare": True})}) as site:
        first = await site.peer()
        await first.send(ASK)
        await until(lambda: count == 1)
        first.close()
        await until(lambda: site.server.statistics().gone == 1)
        second = await site.peer()
        await second.send(ASK)
        await until(lambda: count == 2)
        gates[0].set()
        await until(lambda: site.server.statistics().running == 1)
        gates[1].set()
        assert (await second.reply()).body == b"answer 1"


async def test_stop_finishes_what_runs_and_refuses_what_is_new(serve):
    gate = Gate()
    async with serve({"GET /": (gate.__call__, {"bare": True})}) as site:
        busy, idle = await site.peer(), await site.peer()
        await busy.send(ASK)
        assert (await idle.get("/nope")).status == 404
        await until(lambda: site.server.statistics().running == 1)
        stopping = asyncio.create_task(site.server.stop())
        assert await idle.closed() == b""
        with pytest.raises(ConnectionRefusedError):
            await site.peer()
        gate.open.set()
        reply = await busy.reply()
        assert (reply.body, reply.fields["connection"]) == (b"done", "close")
        await stopping
        assert site.service.left == 1


async def test_who_waits_to_be_accepted_is_answered_before_the_server_stops(serve):
    async with serve({"GET /": (Gate().__call__, {"bare": True})}) as site:
        with socket.create_connection(("127.0.0.1", site.port)) as sock:
            sock.sendall(b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\n")
            await site.server.stop()
            assert sock.recv(100).startswith(b"HTTP/1.1 404")


async def test_stop_cancels_what_outlasts_the_grace(serve):
    gate = Gate()
    async with serve({"GET /": (gate.__call__, {"bare": True})}) as site:
        peer = await site.peer()
        await peer.send(ASK)
        await until(lambda: site.server.statistics().running == 1)
        await site.server.stop(grace=0.01)
        assert gate.ended == [("server closed",)]
        assert await peer.closed() == b""
        assert site.service.left == 1


async def test_what_is_cancelled_at_the_end_has_time_to_clean_up(serve):
    cleaned = []

    async def careful():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(cleaned.append, True)

    async with serve({"GET /": (careful, {"bare": True})}) as site:
        peer = await site.peer()
        await peer.send(ASK)
        await until(lambda: site.server.statistics().running == 1)
        await site.server.stop(grace=0.01)
        assert cleaned == [True]


async def test_a_service_is_entered_before_and_left_after(serve):
    async with serve({}) as site:
        assert (site.service.entered, site.service.left) == (1, 0)
    assert (site.service.entered, site.service.left) == (1, 1)


PROGRAM = """
import asyncio, socket
from megahertz.engine import Answer, Route, Server

async def interrupt():
    raise KeyboardInterrupt

class Service:
    routes = [Route(methods=("GET",), pattern="/", endpoint=interrupt, bare=True)]
    fallback = None
    refusals = {}
    encode = None
    def failed(self, exchange, error): return Answer("no", 500)
    async def __aenter__(self): pass
    async def __aexit__(self, *exc): pass

async def main():
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    async with Server(Service(), [sock]):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        try:
            await asyncio.Event().wait()
        finally:
            print((await reader.readline()).decode().strip())
            writer.close()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""


def test_keyboard_interrupt_leaves_the_loop_after_the_peer_had_its_answer():
    """As from any task: the loop ends with it."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60
    )
    assert run.stdout.split("\n")[:2] == ["HTTP/1.1 500 Internal Server Error", "interrupted"]
