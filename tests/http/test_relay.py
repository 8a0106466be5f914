"""Answers of another server, passed on: real sockets, both ends in the test's hands."""

import asyncio
import contextlib
import fcntl
import gzip
import os
import socket
import ssl
from contextlib import AsyncExitStack

import httpx
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

import megahertz
from megahertz import App, Compress, RelayResponse, Response, StreamingResponse, testing
from megahertz.engine import ClientTlsConfig, PoolSettings, Server, Tls
from megahertz.errors import DeadlineExceeded, RemoteError
from megahertz.settings import Limits
from tests.engine.conftest import identity
from tests.engine.streams import Client

from .client.pools import Came, Scripted
from .relays import PATIENCE, relaying

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


def sized(count: int, *fields: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"content-length: %d" % count, *fields, b"", b""])


def content(count: int) -> bytes:
    return bytes(number * 7 % 251 for number in range(4096)) * (count // 4096 + 1)


async def until(peer, end: bytes) -> bytes:
    return await asyncio.wait_for(peer.reader.readuntil(end), PATIENCE)


async def reply(peer, **options):
    return await asyncio.wait_for(peer.reply(**options), PATIENCE)


async def test_an_answer_is_passed_on():
    async with relaying() as site:
        peer, _ = await site.ask(GET, sized(2, b"x-a: 1", b"set-cookie: a=1"), b"o", b"k")
        got = await reply(peer)
        assert (got.status, got.body) == (200, b"ok")
        assert got.fields["content-length"] == "2"
        assert (got.fields["x-a"], got.fields["set-cookie"]) == ("1", "a=1")
        assert got.fields["via"] == "1.1 us"
        assert site.client.statistics().pool.idle == 1


async def test_what_is_of_the_connection_stays_there():
    fields = (b"connection: x-hop, keep-alive", b"x-hop: 1", b"keep-alive: timeout=5", b"te: a")
    async with relaying() as site:
        peer, _ = await site.ask(GET, sized(1, *fields), b"x")
        got = await reply(peer)
        assert not {"connection", "x-hop", "keep-alive", "te"} & got.fields.keys()


async def test_one_of_unknown_length_is_chunked():
    async with relaying() as site:
        peer, asked = await site.ask(GET, CHUNKED, b"3\r\nabc\r\n")
        said = await until(peer, b"abc\r\n")
        assert b"transfer-encoding: chunked" in said and said.endswith(b"\r\n\r\n3\r\nabc\r\n")
        end = b"2\r\nde\r\n0\r\n\r\n"
        await asked.say(end)
        assert await until(peer, b"0\r\n\r\n") == end


async def test_a_client_of_http10_is_told_by_the_end():
    async with relaying() as site:
        peer, _ = await site.ask(GET.replace(b"1.1", b"1.0"), CHUNKED, b"3\r\nabc\r\n0\r\n\r\n")
        assert (await peer.closed()).endswith(b"\r\n\r\nabc")


async def test_one_that_ends_with_its_connection_is_whole():
    async with relaying() as site:
        peer, asked = await site.ask(GET, b"HTTP/1.1 200 OK\r\n\r\n", b"abc")
        await asked.cut()
        assert (await reply(peer)).body == b"abc"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_one_without_a_body(status):
    async with relaying() as site:
        peer, _ = await site.ask(GET, b"HTTP/1.1 %b\r\netag: x\r\n\r\n" % status)
        got = await reply(peer)
        assert (got.status, got.body, got.fields["etag"]) == (int(status[:3]), b"", "x")
        await peer.send(GET)
        await (await site.heard()).say(sized(0))
        assert (await reply(peer)).fields["content-length"] == "0"
        assert site.upstream.connections == 1


async def test_a_head():
    async with relaying() as site:
        request = b"HEAD /x HTTP/1.1\r\nHost: test\r\n\r\n"
        peer, asked = await site.ask(request, sized(12345))
        got = await reply(peer, head_only=True)
        assert (asked.line, got.fields["content-length"]) == ("HEAD /x HTTP/1.1", "12345")
        assert site.client.statistics().pool.idle == 1


async def test_trailers_go_to_who_looks_at_them():
    end = b"0\r\nX-T: 1\r\nContent-Length: 9\r\n\r\n"
    async with relaying() as site:
        wants = b"GET / HTTP/1.1\r\nHost: test\r\nTE: trailers\r\n\r\n"
        for request, behind in [(wants, b"0\r\nx-t: 1\r\n\r\n"), (GET, b"0\r\n\r\n")]:
            peer, _ = await site.ask(request, CHUNKED + b"1\r\na\r\n" + end)
            assert await until(peer, b"a\r\n" + behind)


async def test_a_pipelined_request_comes_behind_it():
    async with relaying() as site:
        peer, asked = await site.ask(GET * 2, sized(4), b"on")
        await asked.say(b"ce")
        asked = await site.heard()
        await asked.say(sized(5) + b"twice")
        assert [(await reply(peer)).body for _ in range(2)] == [b"once", b"twice"]


@pytest.mark.parametrize("head", [sized(10), CHUNKED + b"a\r\n"], ids=["length", "chunked"])
async def test_half_of_one_is_not_taken_for_the_whole(head, caplog):
    async with relaying() as site:
        peer, asked = await site.ask(GET, head, b"half")
        await asked.cut()
        said = await peer.closed()
        assert b"half" in said and b"\r\n0\r\n" not in said
        assert "ReadError" in caplog.text


async def test_broken_chunks_cut_it_as_well():
    async with relaying() as site:
        peer, asked = await site.ask(GET, CHUNKED + b"3\r\nabc\r\n")
        assert await until(peer, b"3\r\nabc\r\n")
        await asked.say(b"x\r\n")
        assert await peer.closed() == b""


async def test_nobody_there_is_an_answer():
    async with relaying() as site:
        peer, asked = await site.ask(GET, b"")
        await asked.cut()
        asked = await site.heard()  # asked once more: nothing had been said
        await asked.cut()
        assert (await reply(peer)).status == 502


async def test_who_leaves_half_way_ends_the_call():
    async with relaying() as site:
        peer, _ = await site.ask(GET, sized(1 << 20), b"some")
        await until(peer, b"some")
        peer.reset()
        await site.upstream_closed()
        assert site.client.statistics().pool.open == 0


async def test_a_deadline_ends_both():
    async with relaying(deadline=1.0) as site:
        peer, _ = await site.ask(GET, sized(1 << 20), b"some")
        assert (await peer.closed()).endswith(b"some")
        await site.upstream_closed()


async def test_silence_ends_both():
    async with relaying(silence=0.05) as site:
        peer, _ = await site.ask(GET, sized(1 << 20) + b"some")
        assert (await peer.closed()).endswith(b"some")
        await site.upstream_closed()


@pytest.mark.parametrize("known", [True, False])
async def test_a_slow_reader_makes_the_upstream_wait(known):
    count = 32 << 20
    async with relaying(limits=Limits(unsent_bytes=64 * 1024)) as site:
        peer = await site.peer(limit=1024)
        await peer.send(GET)
        asked = await site.heard()
        asked.writer.write(sized(count) if known else CHUNKED)
        asked.writer.write(bytes(count) if known else framed(bytes(1 << 20)) * 32 + framed(b""))
        await settled(site)
        assert site.client.statistics().pool.bytes_in < count // 2
        assert len((await reply(peer)).body) == count
        assert site.client.statistics().pool.idle == 1


async def test_a_slow_reader_of_http2_does_as_well():
    count = 64 << 20
    async with relaying() as site:
        peer = await site.peer()
        client = Client(peer.reader, peer.writer)
        client.eager = False
        await client.flush()
        await client.send("GET", "/")
        asked = await site.heard()
        asked.writer.write(sized(count) + bytes(count))
        await settled(site)
        assert site.client.statistics().pool.bytes_in < count // 2
        peer.reset()
        await site.upstream_closed()


async def test_a_large_one_is_the_same_byte_for_byte():
    body = content(10 << 20)
    async with relaying() as site:
        peer = await site.peer()
        await peer.send(GET)
        asked = await site.heard()
        asked.writer.write(sized(len(body)) + body)
        assert (await reply(peer)).body == body


@settings(max_examples=20)
@given(st.lists(st.integers(0, 200_000) | st.integers(0, 5), max_size=8), st.booleans())
def test_pieces_of_any_size_come_whole(sizes, known):
    asyncio.run(relay_in(sizes, known=known))


async def relay_in(sizes, *, known):
    body = content(sum(sizes))[: sum(sizes)]
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    async with relaying() as site:
        peer, asked = await site.ask(GET, sized(len(body)) if known else CHUNKED)
        for size, end in zip(sizes, ends, strict=True):
            piece = body[end - size : end]
            await asked.say(piece if known or not piece else framed(piece))
        await asked.say(b"" if known else framed(b""))
        assert (await reply(peer)).body == body


def framed(piece: bytes) -> bytes:
    """A chunk; an empty one is the last."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


async def test_to_a_client_of_http2():
    body = content(300_000)
    async with relaying() as site:
        peer = await site.peer()
        client = Client(peer.reader, peer.writer)
        await client.flush()
        asked_for = [await client.send("GET", path) for path in ("/a", "/b")]
        for asked in (await site.heard(), await site.heard()):
            known = asked.line.startswith("GET /a ")
            if known:
                await asked.say(sized(len(body)), body)
            else:
                await asked.say(CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        replies = [await client.reply(stream) for stream in asked_for]
        assert [each.body == body for each in replies] == [True, True]
        lengths = [each.fields.get("content-length") for each in replies]
        assert lengths == [str(len(body)), None]


async def test_half_of_one_resets_the_stream():
    async with relaying() as site:
        peer = await site.peer()
        client = Client(peer.reader, peer.writer)
        await client.flush()
        stream = await client.send("GET", "/")
        asked = await site.heard()
        await asked.say(CHUNKED, b"4\r\nhalf\r\n")
        await asked.cut()
        with pytest.raises(ConnectionResetError):
            await client.reply(stream)
        assert client.open


async def test_a_client_of_http2_that_gives_up_ends_the_call():
    async with relaying() as site:
        peer = await site.peer()
        client = Client(peer.reader, peer.writer)
        await client.flush()
        stream = await client.send("GET", "/")
        asked = await site.heard()
        await asked.say(sized(1 << 20), b"some")
        client.h2.reset_stream(stream)
        await client.flush()
        await site.upstream_closed()


async def test_from_a_server_that_speaks_tls():
    authority = trustme.CA()
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(secure)
    trusted = ClientTlsConfig(trusted=authority.cert_pem.bytes())
    body = content(1 << 20)
    async with relaying(secure=secure, tls=trusted) as site:
        peer = await site.peer()
        await peer.send(GET)
        asked = await site.heard()
        asked.writer.write(sized(len(body)) + body)
        assert (await reply(peer)).body == body


@pytest.mark.parametrize("http2", [True, False])
async def test_between_two_by_tls(tmp_path, http2):
    """Ours in front of ours; over HTTP/2 the windows hold it back."""
    authority, body = trustme.CA(), content(3 << 20)
    behind, front = App(), App()

    @behind.get("/")
    async def whole() -> StreamingResponse:
        async def pieces():
            for at in range(0, len(body), 100_000):
                yield body[at : at + 100_000]

        return StreamingResponse(pieces())

    tls = Tls(certificates=[identity(tmp_path, "localhost", ca=authority)])
    trusted, pool = ClientTlsConfig(trusted=authority.cert_pem.bytes()), PoolSettings(http2=http2)
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    bases = [f"https://localhost:{sock.getsockname()[1]}" for sock in socks]
    async with AsyncExitStack() as stack:
        upstream, client = [
            await stack.enter_async_context(megahertz.Client(base, tls=trusted, settings=pool))
            for base in bases
        ]

        @front.get("/relay")
        async def relay() -> RelayResponse:
            return RelayResponse(await upstream.stream("GET", "/"))

        for app, sock in zip((behind, front), socks, strict=True):
            server = await stack.enter_async_context(Server(app, [sock], tls=tls))
            stack.push_async_callback(server.stop, 0.0, spread=0.0)
        answers = await asyncio.gather(*(client.get("/relay") for _ in range(4)))
        version = "HTTP/2" if http2 else "HTTP/1.1"
        assert all(answer.http_version == version for answer in answers)
        assert all(answer.content == body for answer in answers)


async def test_a_layer_may_change_it():
    """Compressed on its way, it takes the longer way through Python; a coded one is left alone."""
    async with relaying(layers=[Compress(codings=["gzip"])]) as site:
        asks = b"GET / HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n"
        peer, _ = await site.ask(asks, sized(4, b"content-type: text/plain"), b"half")
        assert (got := await reply(peer)).fields["content-encoding"] == "gzip"
        assert gzip.decompress(got.body) == b"half"
        plain = sized(4, b"content-type: text/plain", b"content-encoding: br")
        peer, _ = await site.ask(asks, plain, b"half")
        assert (await reply(peer)).body == b"half"


async def test_an_answer_of_another_transport_is_passed_on():
    came = Came(201, [("content-length", "4"), ("x-a", "1")], pieces=[b"ha", b"lf"])
    app = App()

    @app.get("/")
    async def relay() -> Response:
        client = megahertz.Client("http://there", pool=Scripted(came))
        return RelayResponse(await client.stream("GET", "/"), headers={"x-a": "2"})

    with testing.Client(app) as client:
        got = await asyncio.to_thread(client.request, "GET", "/")
    assert (got.status_code, got.content, got.headers["x-a"]) == (201, b"half", "2")
    assert got.headers["content-length"] == "4"
    assert came.closed == 1


async def test_no_status_of_http_is_passed_on():
    client = megahertz.Client("http://there", pool=Scripted(Came(999)))
    with pytest.raises(RemoteError, match="999"):
        RelayResponse(await client.stream("GET", "/"))


async def test_under_another_asgi_server():
    behind, app = App(), App()

    @behind.get("/")
    async def half() -> StreamingResponse:
        return StreamingResponse(["ha", "lf"] * 10_000)

    with testing.Client(behind) as site:
        origin = megahertz.Client(f"http://127.0.0.1:{site.port}")

        @app.get("/")
        async def relay() -> RelayResponse:
            return RelayResponse(await origin.stream("GET", "/"))

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.get("/")).text == "half" * 10_000
        await origin.aclose()


async def test_under_another_asgi_server_silence_ends_it_as_well():
    async with relaying(silence=0.05) as site:
        transport = httpx.ASGITransport(site.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            asking = asyncio.ensure_future(client.get("/"))
            await (await site.heard()).say(sized(10) + b"half")
            with pytest.raises(DeadlineExceeded):
                await asyncio.wait_for(asking, PATIENCE)
        await site.upstream_closed()


def pipes() -> set[str]:
    """Those of this process that were made for relays."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            where = os.readlink(f"/proc/self/fd/{name}")
            if where.startswith("pipe:") and fcntl.fcntl(int(name), fcntl.F_GETPIPE_SZ) == 1 << 20:
                found.add(where)
    return found


async def test_much_of_a_known_length_goes_through_a_pipe_of_the_kernels():
    body, before = content(4 << 20), pipes()
    async with relaying() as site:
        peer = await site.peer()
        for _ in range(3):
            await peer.send(GET)
            asked = await site.heard()
            asked.writer.write(sized(len(body)) + body)
            assert (await reply(peer)).body == body
        assert len(pipes() - before) in (1, 2)  # kept for the next


async def test_slow_readers_hold_no_more_pipes_than_there_may_be():
    body, before = content(8 << 20), pipes()
    async with relaying() as site:
        asking = []
        for _ in range(24):
            peer = await site.peer(limit=1024)
            await peer.send(GET)
            asked = await site.heard()
            asked.writer.write(sized(len(body)) + body)
            asking.append(peer)
        await settled(site)
        assert 0 < len(pipes() - before) <= 16
        for peer in asking[::2]:
            peer.reset()
        for peer in asking[1::2]:
            assert (await reply(peer)).body == body
        assert len(pipes() - before) <= 8


async def settled(site) -> None:
    """Nothing more comes from the upstream by itself."""
    seen = -1
    while site.client.statistics().pool.bytes_in != seen:
        seen = site.client.statistics().pool.bytes_in
        for _ in range(50):
            await asyncio.sleep(0)
