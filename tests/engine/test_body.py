"""Request bodies that their handler reads while they arrive."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.conftest import pieces, until, whole

STREAM = {"streams": True}
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


def head(size: int, *fields: str) -> bytes:
    lines = ["POST / HTTP/1.1", "Host: a", f"Content-Length: {size}", *fields, "", ""]
    return "\r\n".join(lines).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def ok(exchange) -> str:
    return "ok"


async def test_a_piece_is_there_before_the_next_one_is_sent(serve):
    first, second = asyncio.Event(), asyncio.Event()

    async def handler(exchange):
        async for piece in pieces(exchange):
            (second if first.is_set() else first).set()
            assert piece
        return "done"

    async with serve({"POST /": (handler, STREAM)}) as site:
        peer = await site.peer()
        await peer.send(CHUNKED + chunk(b"one"))
        await first.wait()
        await peer.send(chunk(b"two"))
        await second.wait()
        await peer.send(chunk(b""))
        assert (await peer.reply()).body == b"done"


@pytest.mark.parametrize("how", ["length", "chunked"])
async def test_what_the_handler_does_not_ask_for_stays_in_the_socket(serve, how):
    body, begun, go = bytes(range(256)) * 32 * 1024, asyncio.Event(), asyncio.Event()

    async def handler(exchange):
        begun.set()
        await go.wait()
        return await whole(exchange)

    async with serve({"POST /": (handler, STREAM)}, body_bytes=len(body)) as site:
        peer = await site.peer()
        data = head(len(body)) + body if how == "length" else CHUNKED + chunk(body) + chunk(b"")
        sending = asyncio.create_task(peer.send(data))
        await begun.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        assert site.server.statistics().bytes_in < 256 * 1024
        go.set()
        assert (await peer.reply()).body == body
        await sending


async def test_the_next_request_stands_behind_a_streamed_body(serve):
    async def handler(exchange):
        return await whole(exchange)

    async with serve({"POST /": (handler, STREAM), "GET /next": ok}) as site:
        peer = await site.peer()
        await peer.send(CHUNKED + chunk(b"a" * 100_000))
        await peer.send(chunk(b"b") + chunk(b"") + NEXT)
        assert (await peer.reply()).body == b"a" * 100_000 + b"b"
        assert (await peer.reply()).body == b"ok"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (chunk(b"x" * 900) + chunk(b"x" * 101), 413),
        (chunk(b"x") + b"nonsense\r\n", 400),
        (chunk(b"x") + b"0\r\n" + b"a: b\r\n" * 4000, 431),
        (chunk(b"x"), 408),
    ],
    ids=["too-large", "malformed", "trailers", "too-slow"],
)
async def test_a_body_that_goes_wrong_is_told_to_its_handler_and_closes(serve, data, status):
    seen = []

    async def handler(exchange):
        try:
            return await whole(exchange)
        except Exception as error:
            seen.append(type(error).__name__)
            raise

    limits = {"body_bytes": 1000, "body_grace": 0.05, "body_rate": 1_000_000}
    async with serve({"POST /": (handler, STREAM)}, **limits) as site:
        peer = await site.peer()
        await peer.send(CHUNKED)
        await until(lambda: site.server.statistics().running == 1)
        await peer.send(data)
        reply = await peer.reply()
        assert (reply.status, reply.fields["connection"]) == (status, "close")
        assert await peer.closed() == b""
    assert seen == ["BodyRefused"]


async def test_a_claim_above_the_limit_is_refused_before_the_handler(serve):
    async with serve({"POST /": (ok, STREAM)}, body_bytes=100_000) as site:
        peer = await site.peer()
        await peer.send(head(100_001))
        reply = await peer.reply()
        assert (reply.status, reply.fields["connection"]) == (413, "close")
        assert site.server.statistics().requests == 0


async def test_a_route_may_take_more_or_less_than_the_server(serve):
    async def handler(exchange):
        return str(len(await whole(exchange)))

    routes = {
        "POST /": (handler, {**STREAM, "body_bytes": 200_000}),
        "PUT /": (handler, {"body_bytes": 10}),
    }
    async with serve(routes, body_bytes=1000) as site:
        peer = await site.peer()
        await peer.send(head(150_000) + bytes(150_000))
        assert (await peer.reply()).body == b"150000"
        await peer.send(head(10).replace(b"POST", b"PUT") + bytes(10))
        assert (await peer.reply()).body == b"10"
        await peer.send(head(11).replace(b"POST", b"PUT") + bytes(11))
        assert (await peer.reply()).status == 413


async def test_a_peer_that_leaves_half_way_cancels_its_handler_once(serve):
    ends = []

    async def handler(exchange):
        try:
            await whole(exchange)
        except asyncio.CancelledError as error:
            ends.append(str(error))
            raise

    async with serve({"POST /": (handler, STREAM)}) as site:
        peer = await site.peer()
        await peer.send(CHUNKED + chunk(b"half"))
        await until(lambda: site.server.statistics().running == 1)
        peer.close()
        await until(lambda: site.server.statistics().running == 0)
    assert ends == ["client disconnected"]


async def test_continue_is_said_when_the_handler_asks_for_the_body(serve):
    async def handler(exchange):
        if exchange.header("authorization") is None:
            return "who?"
        return await whole(exchange)

    async with serve({"POST /": (handler, STREAM)}) as site:
        peer = await site.peer()
        await peer.send(head(5, "Expect: 100-continue", "Authorization: me"))
        assert (await peer.reply()).status == 100
        await peer.send(b"12345")
        assert (await peer.reply()).body == b"12345"
        # Refused without an invitation: what follows could be the body or a request.
        await peer.send(head(5, "Expect: 100-continue"))
        reply = await peer.reply()
        assert (reply.body, reply.fields["connection"]) == (b"who?", "close")


async def test_a_little_that_nobody_read_is_skipped(serve):
    async with serve({"POST /": (ok, STREAM), "GET /next": ok}) as site:
        peer = await site.peer()
        await peer.send(head(100_000) + bytes(10))
        reply = await peer.reply()
        assert (reply.status, "connection" in reply.fields) == (200, False)
        await peer.send(bytes(99_990) + NEXT)
        assert (await peer.reply()).body == b"ok"


@pytest.mark.parametrize(
    "rest", [chunk(b"x" * 300_000), b"nonsense\r\n"], ids=["too-much", "malformed"]
)
async def test_an_answered_request_gets_no_second_answer_for_its_body(serve, rest):
    async with serve({"POST /": (ok, STREAM)}) as site:
        peer = await site.peer()
        await peer.send(CHUNKED)
        assert (await peer.reply()).status == 200
        await peer.send(rest)
        assert await peer.closed() == b""


async def test_much_that_nobody_read_closes_the_connection(serve):
    async with serve({"POST /": (ok, STREAM)}, body_bytes=10_000_000) as site:
        peer = await site.peer()
        await peer.send(head(5_000_000) + bytes(1000))
        reply = await peer.reply()
        assert (reply.status, reply.fields["connection"]) == (200, "close")


async def test_a_404_needs_no_body(serve):
    async with serve({"GET /next": ok}) as site:
        peer = await site.peer()
        await peer.send(head(70_000))
        assert (await peer.reply()).status == 404
        await peer.send(bytes(70_000) + NEXT)
        assert (await peer.reply()).status == 200


async def test_a_kept_exchange_never_reads_the_next_requests_body(serve):
    kept = []

    async def handler(exchange):
        kept.append(exchange)
        return "ok" if len(kept) == 1 else await whole(exchange)

    async with serve({"POST /": (handler, STREAM)}) as site:
        peer = await site.peer()
        await peer.send(CHUNKED + chunk(b"first"))
        await peer.reply()
        await peer.send(chunk(b"") + CHUNKED)
        await until(lambda: len(kept) == 2)
        with pytest.raises(RuntimeError, match="complete"):
            kept[0].read()
        await peer.send(chunk(b"second") + chunk(b""))
        assert (await peer.reply()).body == b"second"


async def test_the_peer_may_end_its_side_behind_the_body(serve):
    async def handler(exchange):
        return await whole(exchange)

    async with serve({"POST /": (handler, STREAM)}) as site:
        peer = await site.peer()
        await peer.send(CHUNKED)
        await until(lambda: site.server.statistics().running == 1)
        peer.writer.write(chunk(b"all") + chunk(b""))
        peer.writer.write_eof()
        assert (await peer.reply()).body == b"all"


def test_the_way_it_arrives_does_not_matter(serve):
    async def handler(exchange):
        return await whole(exchange)

    async def run(parts: list[bytes], raw: bytes, cuts: list[int]) -> None:
        async with serve({"POST /": (handler, STREAM)}) as site:
            peer = await site.peer()
            await peer.send(CHUNKED)
            for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
                await peer.send(raw[begin:end])
                await asyncio.sleep(0)
            assert (await peer.reply()).body == b"".join(parts)

    @settings(max_examples=25)
    @given(st.lists(st.binary(min_size=1, max_size=3000), max_size=8), st.data())
    def check(parts, data):
        raw = b"".join(map(chunk, parts)) + chunk(b"")
        cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=6))
        asyncio.run(run(parts, raw, sorted(cuts)))

    check()
