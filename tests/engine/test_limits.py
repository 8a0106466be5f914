"""Every bound is an answer to the peer, and is counted."""

import asyncio
import socket

import pytest

from megahertz.engine import Answer
from megahertz.errors import BadSettings
from megahertz.settings import Limits

from .conftest import until


async def echo(exchange):
    return exchange.body


def small_window() -> socket.socket:
    """A client socket that takes little before it is read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    return sock


REFUSED = {
    "malformed": (b"nonsense\r\n\r\n", 400),
    "no-host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two-lengths": (
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        400,
    ),
    "smuggling": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
    ),
    "bad-chunk": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "body-claimed": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n", 413),
    "body-chunked": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n",
        413,
    ),
    "target": (b"GET /" + b"x" * 600 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "target-unfinished": (b"GET /" + b"x" * 700, 414),
    "head": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 3000 + b"\r\n\r\n", 431),
    "head-unfinished": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 3000, 431),
    "fields": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20 + b"\r\n", 431),
    "coding": (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "version": (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    "half-a-preface": (b"PRI * HTTP/2.0\r\n\r\nHM\r\n\r\n", 505),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 40, 400),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_served_is_refused_and_closed(serve, case):
    data, status = REFUSED[case]
    bounds = {"head_bytes": 2048, "headers": 10, "target_bytes": 512, "body_bytes": 1000}
    async with serve({"GET /": echo, "POST /": echo}, **bounds) as site:
        peer = await site.peer()
        await peer.send(data)
        reply = await peer.reply()
        assert (reply.status, reply.fields["connection"]) == (status, "close")
        assert await peer.closed() == b""
        assert site.server.statistics().refused == 1
        assert site.server.statistics().requests == 0


async def test_a_refusal_is_read_though_the_peer_is_still_sending(serve):
    """Closing with unread bytes would reset the connection before our 413 was read."""
    async with serve({"POST /": echo}, body_bytes=1000) as site:
        peer = await site.peer()
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n"
        await peer.send(head + b"x" * 5_000_000)
        assert (await peer.reply()).status == 413


async def test_requests_before_a_bad_one_are_answered(serve):
    async with serve({"GET /": echo}) as site:
        peer = await site.peer()
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2 + b"junk\r\n\r\n")
        assert [(await peer.reply()).status for _ in range(3)] == [200, 200, 400]


async def test_a_slow_head_is_408(serve):
    async with serve({"GET /": echo}, head_timeout=0.03) as site:
        peer = await site.peer()
        await peer.send(b"GET / HTTP/1.1\r\n")
        assert (await peer.reply()).status == 408
        assert await peer.closed() == b""


async def test_a_dribbled_head_is_not_forgiven(serve):
    async with serve({"GET /": echo}, head_timeout=0.1, idle_timeout=60) as site:
        peer = await site.peer()

        async def dribble():
            while True:
                await peer.send(b"\r\n")
                await asyncio.sleep(0)

        task = asyncio.create_task(dribble())
        assert (await peer.reply()).status == 408
        task.cancel()


async def test_a_slow_body_is_408_by_its_rate(serve):
    async with serve({"POST /": echo}, body_grace=0.03, body_rate=1_000_000) as site:
        peer = await site.peer()
        await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
        assert (await peer.reply()).status == 408


async def test_an_idle_connection_is_closed_without_a_word(serve):
    async with serve({"GET /": echo}, idle_timeout=0.03) as site:
        fresh, used = await site.peer(), await site.peer()
        await used.get("/")
        assert (await fresh.closed(), await used.closed()) == (b"", b"")
        assert site.server.statistics().idled == 2


async def test_a_running_request_is_not_idle(serve):
    gate = asyncio.Event()

    async def wait(exchange):
        await gate.wait()
        return "done"

    async with serve({"GET /": wait}, idle_timeout=0.02) as site:
        peer, idle = await site.peer(), await site.peer()
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: site.server.statistics().running == 1)
        await idle.closed()
        gate.set()
        assert (await peer.reply()).body == b"done"


async def test_one_connection_too_many_is_503(serve):
    refusals = {503: Answer("full", 503, {"retry-after": "1"}, "text/plain")}
    async with serve({"GET /": echo}, connections=2, refusals=refusals) as site:
        first, second = await site.peer(), await site.peer()
        await first.get("/")
        await second.get("/")
        third = await site.peer()
        reply = await third.reply()
        assert (reply.status, reply.fields["retry-after"]) == (503, "1")
        assert await third.closed() == b""
        assert (await first.get("/")).status == 200


async def test_a_reader_that_does_not_read_is_not_read_from(serve):
    """Back-pressure: at most `unsent_bytes` and one answer wait, whatever the peer asks for."""
    served = 0

    async def large(exchange):
        nonlocal served
        served += 1
        return b"x" * 100_000

    async with serve({"GET /": large}, unsent_bytes=200_000) as site:
        with small_window() as sock:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, ("127.0.0.1", site.port))
            await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 500)
            await until(lambda: served >= 3)
            peer = await site.peer()
            for _ in range(20):
                await peer.get("/")
            ours = served - 20
            assert ours < 100, "the kernel's buffers and ours hold a few MB, not 50"
            got = 0
            while got < 500 * 100_000:
                got += len(await loop.sock_recv(sock, 1 << 20))
            assert served == 520


async def test_a_reader_that_stops_for_good_is_closed(serve):
    async def large(exchange):
        return b"x" * 20_000_000

    async with serve({"GET /": large}, write_timeout=0.05) as site:
        with small_window() as sock:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, ("127.0.0.1", site.port))
            await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: site.server.statistics().stalled == 1)
            assert site.server.statistics().connections == 0


async def test_a_streaming_handler_waits_for_its_reader(serve):
    waits = 0

    async def stream(exchange):
        nonlocal waits
        exchange.start(200, [])
        for _ in range(100):
            if not exchange.write(b"x" * 100_000):
                waits += 1
                await exchange.drain()

    async with serve({"GET /": stream}) as site:
        peer = await site.peer(limit=1 << 16)
        reply = await peer.get("/")
        assert len(reply.body) == 10_000_000
        assert waits > 0


async def test_out_of_file_descriptors_accepting_rests_and_goes_on(serve):
    import resource

    async with serve({"GET /": echo}) as site:
        peer = await site.peer()
        await peer.get("/")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as client:
            with socket.socket() as spare:
                lowest = spare.fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
            try:
                client.connect(("127.0.0.1", site.port))
                await until(lambda: site.server.statistics().exhausted > 0)
                assert (await peer.get("/")).status == 200
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await until(lambda: site.server.statistics().accepted == 2)


@pytest.mark.parametrize("field", ["head_timeout", "head_bytes", "connections"])
def test_limits_out_of_range_name_the_field(field):
    with pytest.raises(BadSettings, match=field):
        Limits(**{field: 0})
    with pytest.raises(BadSettings, match=field):
        Limits(**{field: float("nan")})


def test_a_head_larger_than_the_read_buffer_cannot_be_asked_for():
    with pytest.raises(BadSettings, match="head_bytes"):
        Limits(head_bytes=100_000)


def test_limits_are_parsed_from_text():
    assert Limits.parse(["head_timeout=10", "requests=7"]) == Limits(head_timeout=10.0, requests=7)


@pytest.mark.parametrize("item", ["nope=1", "requests", "requests=many", "head_timeout=-1"])
def test_a_limit_that_cannot_be_is_named(item):
    with pytest.raises(BadSettings, match=item.partition("=")[0]):
        Limits.parse([item])


async def test_the_kernel_keeps_little_for_a_client_that_does_not_read(serve):
    """Slow readers would otherwise take all the memory that TCP may have (benchmarks.slow)."""

    async def large(exchange):
        return bytes(8_000_000)

    async with serve({"GET /": large}) as site:
        with small_window() as sock:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, ("127.0.0.1", site.port))
            await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: site.server.statistics().bytes_out > 0)
            peer = await site.peer()
            for _ in range(100):
                await peer.get("/missing")
            assert site.server.statistics().bytes_out < 700_000
