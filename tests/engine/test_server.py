"""What goes over the wire, request by request."""

import asyncio
import socket
from contextvars import ContextVar

import pytest

from megahertz.engine import Answer, Route, Server
from megahertz.errors import BadRoute, DeadlineExceeded, Misused


async def hello(exchange):
    return {"msg": "ok"}


async def echo(exchange):
    return exchange.body


def request(method: str, path: str, *fields: str, body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("value", "kind", "body"),
    [
        ({"a": 1}, "application/json", b'{"a":1}'),
        ([1, 2], "application/json", b"[1,2]"),
        ("text", "text/plain; charset=utf-8", b"text"),
        (b"octets", "application/octet-stream", b"octets"),
        (7, "application/json", b"7"),
        (b"x" * 300_000, "application/octet-stream", b"x" * 300_000),
    ],
    ids=["dict", "list", "str", "bytes", "int", "large"],
)
async def test_a_value_is_answered_by_its_type(serve, value, kind, body):
    async def give(exchange):
        return value

    async with serve({"GET /": give}) as site:
        peer = await site.peer()
        reply = await peer.get("/")
        assert (reply.status, reply.fields["content-type"], reply.body) == (200, kind, body)


async def test_none_is_204_without_length(serve):
    async def nothing(exchange):
        return None

    async with serve({"GET /": nothing}) as site:
        reply = await (await site.peer()).get("/")
        assert reply.status == 204
        assert "content-length" not in reply.fields


async def test_one_answer_may_be_given_many_times(serve):
    sold_out = Answer(b"gone", 409, {"X-Why": "stock"}, "text/plain")

    async def handler(exchange):
        return sold_out

    async with serve({"GET /": handler}) as site:
        peer = await site.peer()
        for _ in range(3):
            reply = await peer.get("/")
            assert (reply.status, reply.fields["x-why"], reply.body) == (409, "stock", b"gone")


async def test_pipelined_requests_are_answered_in_order(serve):
    gate = asyncio.Event()

    async def item(exchange):
        if exchange.params == ("3",):
            await gate.wait()
        return exchange.params[0]

    async with serve({"GET /{n}": item}) as site:
        peer = await site.peer()
        await peer.send(b"".join(request("GET", f"/{n}") for n in range(8)))
        first = [(await peer.reply()).body for _ in range(3)]
        gate.set()
        rest = [(await peer.reply()).body for _ in range(5)]
        assert first + rest == [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7"]


async def test_a_request_may_come_octet_by_octet(serve):
    async with serve({"POST /": echo}) as site:
        peer = await site.peer()
        text = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        for octet in text + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n":
            await peer.send(bytes([octet]))
            await asyncio.sleep(0)
        assert (await peer.reply()).body == b"abcde"


@pytest.mark.parametrize("size", [1, 65_000, 65_536, 200_000, 1_048_576])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_bodies_of_any_size_arrive_whole(serve, size, chunked):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with serve({"POST /": echo}) as site:
        peer = await site.peer()
        if chunked:
            head = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
            pieces = [body[at : at + 7000] for at in range(0, size, 7000)]
            data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            await peer.send(head + data + b"0\r\n\r\n" + request("POST", "/", body=b"next"))
        else:
            await peer.send(request("POST", "/", body=body) + request("POST", "/", body=b"next"))
        assert (await peer.reply()).body == body
        assert (await peer.reply()).body == b"next"


async def test_head_has_the_fields_of_get_and_no_body(serve):
    async with serve({"GET /": hello}) as site:
        peer = await site.peer()
        await peer.send(request("HEAD", "/") + request("GET", "/"))
        head = await peer.reply(head_only=True)
        assert (head.status, head.fields["content-length"]) == (200, "12")
        assert (await peer.reply()).body == b'{"msg":"ok"}'


async def test_an_unknown_path_and_another_method(serve):
    refusals = {404: Answer("none", 404, None, "text/plain")}
    async with serve({"GET /": hello, "PUT /": hello}, refusals=refusals) as site:
        peer = await site.peer()
        nothing = await peer.get("/nope")
        assert (nothing.status, nothing.body) == (404, b"none")
        await peer.send(request("DELETE", "/"))
        other = await peer.reply()
        assert (other.status, other.fields["allow"]) == (405, "get, put, head")
        assert (await peer.get("/")).status == 200


async def test_a_fallback_takes_what_no_route_does(serve):
    async def rest(exchange):
        return f"{exchange.method} {exchange.path}"

    async with serve({"GET /": hello}, fallback=rest) as site:
        peer = await site.peer()
        assert (await peer.get("/x%20y")).body == b"GET /x y"
        await peer.send(request("POST", "/"))
        assert (await peer.reply()).body == b"POST /"


async def test_an_exchange_tells_what_was_sent(serve):
    seen = {}

    async def look(exchange):
        for name in ("method", "path", "raw_path", "query", "params", "version", "headers", "peer"):
            seen[name] = getattr(exchange, name)
        seen["accept"] = exchange.header("accept")
        return ""

    async with serve({"GET /a/{x}/{y}": look}) as site:
        peer = await site.peer()
        await peer.get("/a/1%2F2/%C3%A9?q=%20", "Accept: a", "accept: b")
        assert seen["method"] == "GET"
        assert seen["path"] == "/a/1/2/é"
        assert seen["raw_path"] == b"/a/1%2F2/%C3%A9"
        assert seen["query"] == b"q=%20"
        assert seen["params"] == ("1/2", "é")
        assert seen["version"] == "1.1"
        assert seen["headers"] == [(b"host", b"test"), (b"accept", b"a"), (b"accept", b"b")]
        assert seen["peer"] == peer.writer.get_extra_info("sockname")
        assert seen["accept"] == "a"


async def test_http_1_0_closes_unless_asked_to_stay(serve):
    async with serve({"GET /": hello}) as site:
        peer = await site.peer()
        await peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await peer.reply()).fields["connection"] == "keep-alive"
        await peer.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await peer.reply()).fields["connection"] == "close"
        assert await peer.closed() == b""


async def test_connection_close_is_obeyed(serve):
    async with serve({"GET /": hello}) as site:
        peer = await site.peer()
        reply = await peer.get("/", "Connection: close")
        assert reply.fields["connection"] == "close"
        assert await peer.closed() == b""


async def test_requests_a_connection_are_limited_by_the_setting(serve):
    async with serve({"GET /": hello}, requests=2) as site:
        peer = await site.peer()
        assert "connection" not in (await peer.get("/")).fields
        assert (await peer.get("/")).fields["connection"] == "close"
        assert await peer.closed() == b""


async def test_a_peer_that_has_finished_sending_still_gets_its_answer(serve):
    async def later(exchange):
        await asyncio.sleep(0)
        return "late"

    async with serve({"GET /": later}) as site:
        peer = await site.peer()
        peer.writer.write(request("GET", "/"))
        peer.writer.write_eof()
        assert (await peer.reply()).body == b"late"
        assert await peer.closed() == b""


async def test_expect_100_continue_is_answered_before_the_body(serve):
    async with serve({"POST /": echo}) as site:
        peer = await site.peer()
        await peer.send(request("POST", "/", "Content-Length: 4", "Expect: 100-continue"))
        assert (await peer.reply()).status == 100
        await peer.send(b"body")
        assert (await peer.reply()).body == b"body"


async def test_a_streamed_answer_is_chunked(serve):
    async def stream(exchange):
        exchange.start(200, [(b"content-type", b"text/plain")])
        for piece in (b"one", b"", b"two"):
            exchange.write(piece)
            await asyncio.sleep(0)
        exchange.end()

    async with serve({"GET /": stream}) as site:
        peer = await site.peer()
        for _ in range(2):
            reply = await peer.get("/")
            assert (reply.fields["transfer-encoding"], reply.body) == ("chunked", b"onetwo")


async def test_a_stream_with_a_length_is_held_to_it(serve):
    async def short(exchange):
        exchange.start(200, [(b"content-length", b"10")])
        exchange.write(b"12345")

    async def exact(exchange):
        exchange.start(200, [(b"content-length", b"5")])
        exchange.write(b"12345")

    async with serve({"GET /short": short, "GET /exact": exact}) as site:
        peer = await site.peer()
        assert (await peer.get("/exact")).body == b"12345"
        await peer.send(request("GET", "/short"))
        assert (await peer.closed()).endswith(b"\r\n\r\n12345")


async def test_a_stream_to_http_1_0_ends_with_the_connection(serve):
    async def stream(exchange):
        exchange.start(200, [])
        exchange.write(b"raw")

    async with serve({"GET /": stream}) as site:
        peer = await site.peer()
        await peer.send(b"GET / HTTP/1.0\r\n\r\n")
        reply = await peer.reply()
        assert (reply.fields["connection"], reply.body) == ("close", b"raw")


async def test_an_error_after_the_start_closes_the_connection(serve):
    async def broken(exchange):
        exchange.start(200, [])
        exchange.write(b"half")
        raise ValueError("boom")

    async with serve({"GET /": broken}) as site:
        peer = await site.peer()
        await peer.send(request("GET", "/"))
        assert (await peer.closed()).endswith(b"4\r\nhalf\r\n")
        assert [str(error) for error in site.service.failures] == ["boom"]


async def test_an_exchange_kept_after_its_answer_reaches_nobody(serve):
    kept = []

    async def keep(exchange):
        kept.append(exchange)
        return "mine"

    async with serve({"GET /": keep}) as site:
        peer = await site.peer()
        await peer.get("/")
        assert kept[0].closed
        with pytest.raises(RuntimeError, match="begun already"):
            kept[0].start(200, [])
        with pytest.raises(RuntimeError, match="complete"):
            kept[0].write(b"stray")
        assert (await peer.get("/")).body == b"mine"


@pytest.mark.parametrize("first_step", [True, False], ids=["in-place", "suspended"])
async def test_an_exception_is_the_services_to_answer(serve, first_step):
    async def broken(exchange):
        if not first_step:
            await asyncio.sleep(0)
        raise ValueError("boom")

    async with serve({"GET /": broken}) as site:
        peer = await site.peer()
        reply = await peer.get("/")
        assert (reply.status, reply.body) == (500, b"ValueError: boom")
        assert (await peer.get("/")).status == 500


async def test_a_value_that_cannot_be_encoded_is_a_failure(serve):
    async def odd(exchange):
        return object()

    async with serve({"GET /": odd}) as site:
        reply = await (await site.peer()).get("/")
        assert (reply.status, reply.body[:9]) == (500, b"TypeError")


async def test_a_deadline_cancels_and_says_why(serve):
    seen = []

    async def slow(exchange):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            seen.append(error.args)
            raise

    async with serve({"GET /": (slow, {"deadline": 0.02})}) as site:
        peer = await site.peer()
        reply = await peer.get("/")
        assert reply.status == 504
        assert isinstance(site.service.failures[0], DeadlineExceeded)
        assert seen == [("deadline exceeded",)]


async def test_a_panic_of_the_engine_costs_one_request_its_answer(serve, capfd):
    async with serve({"GET /": hello}) as site:
        peer = await site.peer()
        site.server._engine._panic_next()
        await peer.send(request("GET", "/") * 2)
        assert [(await peer.reply()).status for _ in range(2)] == [500, 200]
        assert site.server.statistics().panics == 1
        assert "asked for by a test" in capfd.readouterr().err


async def test_a_route_that_cannot_be_is_told_at_start():
    class Bad:
        routes = (Route(methods=("GET",), pattern="/{a", endpoint=hello),)
        fallback = None
        refusals = {}
        encode = failed = None

    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        pytest.raises(BadRoute, match=r"GET /\{a"),
    ):
        await Server(Bad(), [sock]).__aenter__()


async def test_a_server_serves_once(serve):
    async with serve() as site:
        with pytest.raises(Misused):
            await site.server.__aenter__()


async def test_a_large_answer_of_a_handler_that_waited_is_sent_at_once(serve):
    async def large(exchange):
        await asyncio.sleep(0)
        return bytes(1_000_000)

    async with serve({"GET /": large}) as site:
        peer = await site.peer()
        assert len((await asyncio.wait_for(peer.get("/"), 5)).body) == 1_000_000


async def test_a_handler_may_answer_and_go_on(serve):
    """What it does then holds up neither the answer nor the next request."""
    go, ended = asyncio.Event(), []

    async def handler(exchange):
        exchange.answer(Answer(b"done", 201))
        with pytest.raises(RuntimeError, match="has begun already"):
            exchange.answer(Answer(b"twice"))
        await go.wait()
        ended.append(exchange.closed)
        return "nobody hears this"

    async with serve({"GET /": handler, "GET /next": hello}) as site:
        peer = await site.peer()
        first, second = await peer.get("/"), await peer.get("/next")
        assert (first.status, first.body, second.status) == (201, b"done", 200)
        peer.reset()
        assert not ended
        go.set()
        await site.server.stop()
    assert ended == [True]
    assert site.service.failures == []


async def test_an_answer_to_a_peer_that_has_gone_is_nothing(serve):
    reached, answered = asyncio.Event(), []

    async def handler(exchange):
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            answered.append(exchange.answer(Answer(b"done")))

    async with serve({"GET /": handler}) as site:
        peer = await site.peer()
        await peer.send(request("GET", "/"))
        await reached.wait()
        peer.close()
        await site.server.stop()
    assert answered == [None]


async def test_a_request_sees_no_variable_of_the_one_before_it(serve):
    """Also where it was read with it, and begins in the turn in which that one ends."""
    name = ContextVar("name", default="nobody's")

    async def mark(exchange):
        seen = name.get()
        name.set(exchange.path)
        await asyncio.sleep(0)
        return seen

    async with serve({"GET /{x}": mark}) as site:
        peer = await site.peer()
        await peer.send(request("GET", "/a") * 3)
        assert [(await peer.reply()).body for _ in range(3)] == [b"nobody's"] * 3
