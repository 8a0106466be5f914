"""The pool of HTTP connections against a server that says what the test wants."""

import asyncio
import gc
import ssl
import weakref

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from megahertz.context import deadline
from megahertz.engine import ClientTlsConfig, Origin, Pool, PoolSettings, client
from megahertz.errors import (
    AnswerTooLarge,
    BadSettings,
    ConnectError,
    DeadlineExceeded,
    LocalProtocolError,
    MalformedAnswer,
    Misused,
    Overloaded,
    PoolTimeout,
    ReadError,
)

from .origin import OK, peered, turns


async def test_a_request_is_whole_and_so_is_its_answer():
    async with peered() as (peer, origin, pool):
        sent = asyncio.ensure_future(
            pool.send(origin, "POST", "/a?b=c", [("X-Name", "v\xe9")], b"body")
        )
        asked = await peer.heard.get()
        assert asked.line == "POST /a?b=c HTTP/1.1"
        assert asked.fields == {
            "x-name": "v\xe9",
            "host": f"127.0.0.1:{origin.port}",
            "content-length": "4",
        }
        assert asked.body == b"body"
        await asked.say(b"HTTP/1.1 201 Well Done\r\nX-A: 1\r\nx-a: \xe9\r\n")
        await asked.say(b"content-length: 3\r\n\r\nabc")
        answer = await sent
        assert (answer.status, answer.reason, answer.http_version) == (201, "Well Done", "HTTP/1.1")
        assert answer.headers == [("x-a", "1"), ("x-a", "\xe9"), ("content-length", "3")]
        assert answer.headers is answer.headers
        assert answer.header("X-A") == "1" and answer.header("x-b") is None
        assert (answer.body, answer.trailers) == (b"abc", [])
        await answer.aclose()
        with pytest.raises(RuntimeError):
            await answer.__anext__()


async def test_octet_by_octet_is_the_same():
    async with peered() as (peer, origin, pool):
        text = b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        text += b"3\r\nabc\r\n0\r\nX-T: y\r\n\r\n"
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        asked = await peer.heard.get()
        await asked.say(*(text[at : at + 1] for at in range(len(text))))
        answer = await sent
        assert (answer.status, answer.body, answer.trailers) == (200, b"abc", [("x-t", "y")])
        assert pool.statistics().idle == 1


async def test_the_connection_that_rested_last_is_used_first():
    async with peered() as (peer, origin, pool):
        first, second = (asyncio.ensure_future(pool.send(origin, "GET", "/")) for _ in range(2))
        one, two = [await peer.heard.get() for _ in range(2)]
        await two.say(OK)
        await one.say(OK)
        await asyncio.gather(first, second)
        third = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        three = await peer.heard.get()
        assert three.writer is one.writer
        await three.say(OK)
        await third
        seen = pool.statistics(origin)
        assert (seen.requests, seen.dialled, seen.reused, seen.idle) == (3, 2, 1, 2)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: y\r\n folded\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000,
    ],
)
async def test_what_is_no_answer_ends_the_connection(said):
    async with peered() as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        asked = await peer.heard.get()
        await asked.say(said)
        with pytest.raises(MalformedAnswer):
            await sent
        assert pool.statistics().open == 0


@pytest.mark.parametrize(
    ("method", "said", "body"),
    [
        ("GET", OK + b"HTTP", b"ok"),
        ("GET", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\na", b"a"),
        ("GET", b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", b"a"),
        ("GET", b"HTTP/1.1 204 No\r\n\r\nbehind", b""),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"",
        ),
    ],
)
async def test_some_answers_are_the_last_of_their_connection(method, said, body):
    async with peered() as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, method, "/"))
        await (await peer.heard.get()).say(said)
        assert (await sent).body == body
        assert pool.statistics().open == 0


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 No\r\ncontent-length: 9\r\n\r\n"),
        ("GET", b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n"),
    ],
)
async def test_some_answers_have_no_body_and_leave_the_connection(method, said):
    async with peered() as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, method, "/"))
        await (await peer.heard.get()).say(said)
        answer = await sent
        assert answer.body == b"" and pool.statistics().idle == 1


async def test_without_a_length_the_end_of_the_connection_is_the_end():
    async with peered() as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        asked = await peer.heard.get()
        await asked.say(b"HTTP/1.1 200 OK\r\n\r\nab", b"c")
        await asked.cut()
        assert (await sent).body == b"abc"


async def test_an_answer_cut_short_is_none():
    async with peered() as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        asked = await peer.heard.get()
        await asked.say(OK[:-1])
        await asked.cut()
        with pytest.raises(ReadError, match="within the answer"):
            await sent


async def test_larger_than_the_limit_is_refused_before_it_has_come():
    async with peered(max_body=10) as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        await (await peer.heard.get()).say(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n")
        with pytest.raises(AnswerTooLarge):
            await sent


async def test_lost_without_a_word_it_is_asked_again_once():
    async with peered() as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "PUT", "/", (), b"same"))
        await (await peer.heard.get()).cut()
        again = await peer.heard.get()
        assert (again.line, again.body) == ("PUT / HTTP/1.1", b"same")
        await again.say(OK)
        assert (await sent).body == b"ok"
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        for _ in range(2):
            await (await peer.heard.get()).cut()
        with pytest.raises(ReadError):
            await sent
        assert pool.statistics().repeated == 2


async def test_what_does_harm_twice_is_asked_once():
    async with peered() as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "POST", "/"))
        await (await peer.heard.get()).cut()
        with pytest.raises(ReadError):
            await sent
        assert peer.connections == 1 and pool.statistics().repeated == 0


@pytest.mark.parametrize("word", [b"", b"HTTP/1.1 408 Timeout\r\ncontent-length: 0\r\n\r\n"])
async def test_a_connection_that_ended_or_spoke_while_it_rested_is_not_used_again(word):
    async with peered() as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        asked = await peer.heard.get()
        await asked.say(OK)
        await sent
        await asked.say(word) if word else await asked.cut()
        while pool.statistics().open:
            await turns()
        sent = asyncio.ensure_future(pool.send(origin, "POST", "/"))
        other = await peer.heard.get()
        assert other.writer is not asked.writer
        await other.say(OK)
        await sent
        assert pool.statistics().stale == 1


async def test_who_stops_waiting_frees_the_connection():
    async with peered() as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        asked = await peer.heard.get()
        sent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sent
        assert pool.statistics().open == 0
        await asked.say(OK)


async def test_cancelled_in_the_queue_it_is_never_sent():
    async with peered(connections_per_host=1) as (peer, origin, pool):
        first = asyncio.ensure_future(pool.send(origin, "GET", "/1"))
        asked = await peer.heard.get()
        rest = [asyncio.ensure_future(pool.send(origin, "GET", f"/{n}")) for n in (2, 3)]
        await turns()
        assert pool.statistics().waiting == 2
        rest[0].cancel()
        await turns()
        assert pool.statistics().waiting == 1
        await asked.say(OK)
        asked = await peer.heard.get()
        assert asked.line == "GET /3 HTTP/1.1"
        await asked.say(OK)
        assert [(await each).status for each in (first, rest[1])] == [200, 200]
        assert peer.connections == 1


async def test_the_queue_is_bounded_and_who_left_it_makes_room():
    async with peered(connections_per_host=1, waiting_per_host=1) as (peer, origin, pool):
        first = asyncio.ensure_future(pool.send(origin, "GET", "/1"))
        asked = await peer.heard.get()
        second = asyncio.ensure_future(pool.send(origin, "GET", "/2"))
        await turns()
        with pytest.raises(Overloaded):
            await pool.send(origin, "GET", "/3")
        second.cancel()
        await turns()
        fourth = asyncio.ensure_future(pool.send(origin, "GET", "/4"))
        await turns()
        await asked.say(OK)
        await (await peer.heard.get()).say(OK)
        await asyncio.gather(first, fourth)


async def test_times_end_what_waits():
    async with peered(connections_per_host=1, acquire_timeout=0.02) as (peer, origin, pool):
        first = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        asked = await peer.heard.get()
        with pytest.raises(PoolTimeout):
            await pool.send(origin, "GET", "/")
        with pytest.raises(DeadlineExceeded):
            await pool.send(origin, "GET", "/", timeout=0.001)
        await asked.say(OK)
        await first
        with pytest.raises(DeadlineExceeded):
            await pool.send(origin, "GET", "/", timeout=0.01)
        with pytest.raises(DeadlineExceeded):
            async with deadline(0.01):
                await pool.send(origin, "GET", "/")
        with pytest.raises(DeadlineExceeded):
            await pool.send(origin, "GET", "/", timeout=0.0)
        assert pool.statistics().expired >= 3


async def test_a_host_that_refuses_fails_all_who_wait_for_it():
    async with peered() as (_, origin, pool):
        nobody = Origin("http", "127.0.0.1", 1)
        sent = [pool.send(nobody, "GET", "/") for _ in range(5)]
        results = await asyncio.gather(*sent, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectError] * 5
        assert "127.0.0.1:1" in str(results[0])
        with pytest.raises(ConnectError):
            await pool.warm(nobody, 2)
        await pool.warm(origin, 3)
        await pool.warm(origin, 2)
        assert pool.statistics(origin).idle == 3


async def test_one_who_waits_fails_with_each_connection_that_cannot_be_had():
    """While another is open, the rest may still be served by it."""
    async with peered(connections_per_host=2) as (peer, origin, pool):
        first = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        asked = await peer.heard.get()
        left = [asyncio.ensure_future(pool.send(origin, "GET", "/")) for _ in range(2)]
        await turns(1)
        left[0].cancel()
        place = pool._places[origin]
        pool._native.refuse(place, "nobody there")
        with pytest.raises(ConnectError, match="nobody there"):
            await left[1]
        await asked.say(OK)
        await first
        await turns(20)
        assert pool.statistics().waiting == 0


async def test_origins_are_forgotten_once_nothing_goes_on_with_them(monkeypatch):
    monkeypatch.setattr(client, "MOST", 2)
    async with peered() as (peer, origin, pool):
        peer.answers = OK
        await pool.send(origin, "GET", "/")
        for port in range(1, 6):
            with pytest.raises(ConnectError, match=f":{port}:"):
                await pool.send(Origin("http", "127.0.0.1", port), "GET", "/")
        assert origin in pool._places and len(pool._places) == 2
        assert (await pool.send(origin, "GET", "/")).body == b"ok"
        assert pool.statistics().dialled == 1


async def test_connections_do_not_rest_for_ever():
    async with peered(idle_time=0.01) as (peer, origin, pool):
        await pool.warm(origin, 2)
        while pool.statistics().open:
            await turns()
    async with peered(max_life=1e-9) as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        await (await peer.heard.get()).say(OK)
        await sent
        assert pool.statistics().open == 0


async def test_what_is_no_request_is_never_sent():
    async with peered() as (peer, origin, pool):
        for method, target, headers in [
            ("GE T", "/", ()),
            ("GET", "/a b", ()),
            ("GET", "", ()),
            ("GET", "/", [("x", "y\r\nz: 1")]),
            ("GET", "/", [("x", "\u20ac")]),
            ("GET", "/", [("content-length", "1")]),
            ("GET", "/", [("transfer-encoding", "gzip")]),
        ]:
            with pytest.raises(LocalProtocolError):
                await pool.send(origin, method, target, headers)
        for headers in ([("x",)], [("x", 1)], [1]):
            with pytest.raises(TypeError):
                await pool.send(origin, "GET", "/", headers)
        with pytest.raises(Misused):
            await pool.send(origin, "POST", "/", (), "text")
        for host in ("a\r\nx: y", "a b", "", "a/b", "\xe9"):
            with pytest.raises(LocalProtocolError):
                await pool.send(Origin("http", host, 80), "GET", "/")
        with pytest.raises(BadSettings):
            await pool.send(Origin("ftp", "x", 1), "GET", "/")
        assert peer.connections == 0


async def test_what_is_given_is_not_written_twice():
    async with peered() as (peer, origin, pool):
        given = {"Host": "other", "Transfer-Encoding": "chunked"}
        sent = asyncio.ensure_future(
            pool.send(origin, "POST", "/", given.items(), bytearray(b"abc"))
        )
        asked = await peer.heard.get()
        assert asked.fields == {"host": "other", "transfer-encoding": "chunked"}
        assert asked.body == b"abc"
        await asked.say(OK)
        await sent
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/", (("Connection", "close"),)))
        await (await peer.heard.get()).say(OK)
        await sent
        assert pool.statistics().open == 0


async def test_a_pool_that_is_closed_tells_who_waits():
    async with peered(connections_per_host=1) as (peer, origin, pool):
        first = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        await peer.heard.get()
        second = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        await turns()
        await pool.aclose()
        with pytest.raises(ReadError):
            await first
        with pytest.raises(ConnectError):
            await second
        with pytest.raises(ConnectError):
            await pool.send(origin, "GET", "/")
        assert pool.statistics().open == 0


async def test_a_pool_that_nobody_has_is_gone():
    async with peered() as (peer, origin, _):
        pool = Pool()
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        await (await peer.heard.get()).say(OK)
        await sent
        await pool.aclose()
        known = weakref.ref(pool)
        del pool, sent
        gc.collect()
        assert known() is None


async def test_tls_says_who_is_there():
    authority, secure = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(secure)
    tls = ClientTlsConfig(authority.cert_pem.bytes())
    async with peered(secure, tls, "https", "localhost") as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/"))
        asked = await peer.heard.get()
        await asked.say(OK)
        assert (await sent).body == b"ok"
        with pytest.raises(ConnectError, match="TLS"):
            await pool.send(origin, "GET", "/", server_name="other.example")


def framed(body: bytes, framing: str) -> bytes:
    if framing == "length":
        return b"content-length: %d\r\n\r\n%b" % (len(body), body)
    if framing == "close":
        return b"connection: close\r\n\r\n" + body
    chunks = [body[at : at + 7] for at in range(0, len(body), 7)]
    coded = b"".join(b"%x;e\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"transfer-encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"


@given(
    st.binary(max_size=200),
    st.sampled_from(["length", "close", "chunks"]),
    st.lists(st.integers(1, 60), min_size=1, max_size=12),
    st.booleans(),
)
@settings(max_examples=60)
def test_an_answer_is_the_same_however_it_is_framed_and_cut(body, framing, sizes, stream):
    async def run():
        async with peered() as (peer, origin, pool):
            sent = asyncio.ensure_future(pool.send(origin, "GET", "/", stream=stream))
            asked = await peer.heard.get()
            text, at = b"HTTP/1.1 200 OK\r\n" + framed(body, framing), 0
            for size in sizes:
                await asked.say(text[at : at + size])
                at += size
            await asked.say(text[at:])
            if framing == "close":
                await asked.cut()
            answer = await sent
            read = b"".join([piece async for piece in answer]) if stream else answer.body
            assert read == body
            assert pool.statistics().idle == (0 if framing == "close" else 1)

    asyncio.run(run())


def test_settings_are_checked():
    for wrong in ({"idle": -1}, {"max_head": 70_000}, {"connect_timeout": 0}, {"max_fields": 300}):
        with pytest.raises(BadSettings):
            PoolSettings(**wrong)
    assert Pool().statistics().open == 0
    assert Origin("http", "::1", 80).authority == "[::1]"
