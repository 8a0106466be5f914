"""HTTP/2 as an independent client sees it (hyper's h2), by prior knowledge and by ALPN."""

import asyncio
import contextlib
import ssl

import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from megahertz.engine import Answer, Tls
from tests.engine.conftest import identity, until, whole
from tests.engine.streams import Client, connect

STREAM = {"streams": True}


async def show(exchange):
    return [
        exchange.version,
        exchange.method,
        exchange.path,
        exchange.query.decode(),
        exchange.header("host"),
        exchange.header("cookie"),
    ]


async def test_a_request_looks_as_it_does_over_http1(serve):
    async with serve({"GET /{name}": show}) as site:
        client = await connect(site)
        reply = await client.get("/a%20b?x=1", ("cookie", "a=1"), ("cookie", "b=2"))
        assert reply.body == b'["2","GET","/a b","x=1","test","a=1; b=2"]'
        assert reply.fields["content-length"] == str(len(reply.body))
        assert "connection" not in reply.fields
        head = await client.reply(await client.send("HEAD", "/a%20b"))
        assert (head.status, head.body) == (200, b"")


async def test_by_alpn(serve, tmp_path):
    ca = trustme.CA()
    tls = Tls(certificates=[identity(tmp_path, "localhost", ca=ca)])
    context = ssl.create_default_context()
    ca.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def scheme(exchange):
        shown = len(exchange.peer_certificates)
        return [exchange.version, exchange.secure, exchange.peer[0], shown]

    async with serve({"GET /": scheme}, tls=tls) as site:
        peer = await site.peer(ssl=context, server_hostname="localhost")
        client = Client(peer.reader, peer.writer)
        await client.flush()
        assert (await client.get()).body == b'["2",true,"127.0.0.1",0]'


async def test_a_slow_stream_does_not_hold_up_others(serve):
    go = asyncio.Event()

    async def slow(exchange):
        await go.wait()
        return "slow"

    async with serve({"GET /": show, "GET /slow": slow}) as site:
        client = await connect(site)
        waiting = [await client.send("GET", "/slow") for _ in range(50)]
        for _ in range(50):
            assert (await client.get()).status == 200
        go.set()
        for stream in waiting:
            assert (await client.reply(stream)).body == b"slow"
        statistics = site.server.statistics()
        assert (statistics.connections, statistics.requests) == (1, 100)


@pytest.mark.parametrize("options", [STREAM, {}], ids=["streamed", "collected"])
async def test_a_large_body_comes_whole(serve, options):
    body = bytes(range(256)) * 8000
    async with serve({"POST /": (whole, options)}, body_bytes=len(body)) as site:
        client = await connect(site)
        for fields in ([], [("content-length", str(len(body)))]):
            stream = await client.send("POST", "/", *fields, end=False)
            await client.upload(stream, body)
            assert (await client.reply(stream)).body == body


async def test_what_the_handler_does_not_ask_for_keeps_the_window_shut(serve):
    go = asyncio.Event()

    async def handler(exchange):
        await go.wait()
        return str(len(await whole(exchange)))

    async with serve({"POST /": (handler, STREAM), "GET /": show}, body_bytes=10**7) as site:
        client = await connect(site)
        await client.get()
        stream, sent = await client.send("POST", "/", end=False), 0
        while room := min(client.h2.local_flow_control_window(stream), 16384):
            client.h2.send_data(stream, bytes(room))
            await client.flush()
            sent += room
        assert (await client.get()).status == 200
        assert client.h2.local_flow_control_window(stream) == 0
        assert sent <= 256 * 1024
        go.set()
        await client.upload(stream, bytes(1_000_000))
        assert (await client.reply(stream)).body == str(sent + 1_000_000).encode()


async def test_an_answer_waits_for_its_reader(serve):
    written = []

    async def flood(exchange):
        exchange.start(200, [])
        while len(written) < 500:
            written.append(None)
            if not exchange.write(bytes(10_000)):
                await exchange.drain()
        exchange.end()

    async with serve({"GET /flood": flood, "GET /": show}) as site:
        client = await connect(site)
        client.eager = False
        stream = await client.send("GET", "/flood")
        await until(lambda: site.server.statistics().running == 1)
        assert len(written) < 100
        client.h2.increment_flow_control_window(2**31 - 1 - 65535)
        client.h2.increment_flow_control_window(2**31 - 1 - 65535, stream)
        await client.flush()
        reply = await client.reply(stream)
        assert (len(reply.body), "content-length" in reply.fields) == (5_000_000, False)


async def test_a_reader_that_never_comes_back_is_reset(serve):
    async def large(exchange):
        return bytes(1_000_000)

    async with serve({"GET /": large, "GET /small": show}, write_timeout=0.05) as site:
        client = await connect(site)
        client.eager = False
        stream = await client.send()
        with pytest.raises(ConnectionResetError):
            await client.reply(stream)
        assert site.server.statistics().stalled == 1
        client.h2.increment_flow_control_window(100_000)
        assert (await client.get("/small")).status == 200


async def test_a_reset_cancels_one_handler(serve):
    ends = []

    async def handler(exchange):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            ends.append(str(error))
            raise

    async with serve({"GET /wait": handler, "GET /": show}) as site:
        client = await connect(site)
        first, second = await client.send("GET", "/wait"), await client.send("GET", "/wait")
        await until(lambda: site.server.statistics().running == 2)
        client.h2.reset_stream(first, h2.errors.ErrorCodes.CANCEL)
        await client.flush()
        await until(lambda: site.server.statistics().running == 1)
        assert (await client.get()).status == 200
        assert not client.events[second]
        client.writer.close()
        await until(lambda: site.server.statistics().running == 0)
        assert site.server.statistics().gone == 2
    assert ends == ["client disconnected"] * 2


async def test_rapid_resets_end_the_connection(serve):
    async with serve({"GET /": show}) as site:
        client = await connect(site)
        with contextlib.suppress(ConnectionError):
            for _ in range(5000):
                stream = client.h2.get_next_available_stream_id()
                client.h2.send_headers(
                    stream,
                    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")],
                )
                client.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
            await client.flush()
            while await client.turn():
                pass
        assert not client.open or client.left == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
        await until(lambda: site.server.statistics().connections == 0)
        assert site.server.statistics().panics == 0


async def test_a_deadline_is_the_streams_own(serve):
    async def handler(exchange):
        await asyncio.Event().wait()

    async with serve({"GET /": (handler, {"deadline": 0.01}), "GET /ok": show}) as site:
        client = await connect(site)
        late = await client.send()
        assert (await client.get("/ok")).status == 200
        assert (await client.reply(late)).status == 504


REFUSED = {
    "head": ([("x", "y" * 3000)], 431),
    "fields": ([(f"x{number}", "y") for number in range(30)], 431),
    "authority": ([(":authority", "a:b")], 400),
    "two-hosts": ([("host", "other")], 400),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_served_costs_one_stream(serve, case):
    fields, status = REFUSED[case]
    async with serve({"GET /": show}, head_bytes=2048, headers=10) as site:
        client = await connect(site)
        client.h2.config.validate_outbound_headers = False
        stream = await client.send("GET", "/", *fields)
        assert (await client.reply(stream)).status == status
        assert (await client.get("/?" + "x" * 100)).status == 200


@pytest.mark.parametrize("options", [STREAM, {}], ids=["streamed", "collected"])
async def test_a_body_above_its_limit(serve, options):
    async with serve({"POST /": (whole, options), "GET /": show}, body_bytes=100_000) as site:
        client = await connect(site)
        claimed = await client.send("POST", "/", ("content-length", "100001"), end=False)
        assert (await client.reply(claimed)).status == 413
        stream = await client.send("POST", "/", end=False)
        with contextlib.suppress(h2.exceptions.StreamClosedError):
            await client.upload(stream, bytes(200_000))
        assert (await client.reply(stream)).status == 413
        assert (await client.get()).status == 200


@pytest.mark.parametrize("options", [STREAM, {}], ids=["streamed", "collected"])
async def test_a_body_that_is_too_slow(serve, options):
    fields = [("content-length", "50")] if not options else []
    async with serve({"POST /": (whole, options), "GET /": show}, body_grace=0.05) as site:
        client = await connect(site)
        stream = await client.send("POST", "/", *fields, body=b"half", end=False)
        assert (await client.reply(stream)).status == 408
        assert (await client.get()).status == 200


async def test_an_answer_that_comes_before_the_body(serve):
    async with serve({"POST /": (show, STREAM), "GET /": show}) as site:
        client = await connect(site)
        for path in ("/", "/missing"):
            stream = await client.send("POST", path, body=b"begun", end=False)
            assert (await client.reply(stream)).status == (200 if path == "/" else 404)
        assert (await client.get()).status == 200


async def test_continue_is_said_when_the_body_is_wanted(serve):
    async with serve({"POST /": (whole, STREAM)}) as site:
        client = await connect(site)
        stream = await client.send("POST", "/", ("expect", "100-continue"), end=False)
        while not client.events[stream]:
            await client.turn()
        (event,) = client.events[stream]
        assert isinstance(event, h2.events.InformationalResponseReceived)
        await client.upload(stream, b"body")
        assert (await client.reply(stream)).body == b"body"


async def test_a_stop_lets_streams_end_and_says_goaway(serve):
    go = asyncio.Event()

    async def slow(exchange):
        await go.wait()
        return "done"

    async with serve({"GET /": slow}) as site:
        client = await connect(site)
        stream = await client.send()
        await until(lambda: site.server.statistics().running == 1)
        stopping = asyncio.create_task(site.server.stop(10))
        while client.left is None:
            await client.turn()
        go.set()
        assert (await client.reply(stream)).body == b"done"
        while await client.turn():
            pass
        await stopping
        assert client.left == h2.errors.ErrorCodes.NO_ERROR


async def test_an_idle_connection_is_closed(serve):
    async with serve({"GET /": show}, idle_timeout=0.05) as site:
        client = await connect(site)
        await client.get()
        while await client.turn():
            pass
        assert client.left == h2.errors.ErrorCodes.NO_ERROR
        assert site.server.statistics().idled == 1


async def test_a_handler_that_fails_half_way_resets_its_stream(serve):
    async def broken(exchange):
        exchange.start(200, [(b"content-length", b"10")])
        exchange.write(b"12345")
        await asyncio.sleep(0)
        raise RuntimeError("broken")

    async with serve({"GET /broken": broken, "GET /": show}) as site:
        client = await connect(site)
        with pytest.raises(ConnectionResetError):
            await client.get("/broken")
        assert (await client.get()).status == 200


async def test_no_content_has_none(serve):
    async def nothing(exchange):
        return None

    async with serve({"GET /": nothing}) as site:
        client = await connect(site)
        reply = await client.get()
        assert (reply.status, reply.body, "content-length" in reply.fields) == (204, b"", False)


def test_no_bytes_harm_the_server(serve):
    async def run(pieces: list[bytes]) -> None:
        async with serve({"GET /": show}, idle_timeout=0.01, head_timeout=0.01) as site:
            peer = await site.peer()
            with contextlib.suppress(ConnectionError):
                await peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                for piece in pieces:
                    await peer.send(piece)
                    await asyncio.sleep(0)
                await peer.closed()
            assert site.server.statistics().panics == 0

    frame = st.builds(
        lambda kind, flags, stream, body: (
            len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body
        ),
        st.integers(0, 10),
        st.integers(0, 255),
        st.integers(0, 7),
        st.binary(max_size=60),
    )

    @settings(max_examples=40)
    @given(st.lists(frame | st.binary(max_size=40), max_size=6))
    def check(pieces):
        asyncio.run(run([b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", *pieces]))

    check()


async def test_files_are_sent_as_the_windows_open(serve, tmp_path):
    content = bytes(range(256)) * 12_000
    (tmp_path / "file").write_bytes(content)

    async def ranges(exchange):
        answer = Answer()
        with (tmp_path / "file").open("rb") as file:
            answer.attach(file.fileno(), [b"<", (0, len(content)), b">", (5, 10)])
        return answer

    async def shrunk(exchange):
        answer = Answer()
        with (tmp_path / "file").open("rb") as file:
            answer.attach(file.fileno(), [(len(content) - 5, 10)])
        return answer

    async with serve({"GET /": ranges, "GET /shrunk": shrunk}) as site:
        client = await connect(site)
        assert (await client.get()).body == b"<" + content + b">" + content[5:15]
        with pytest.raises(ConnectionResetError):
            await client.get("/shrunk")
        assert (await client.get()).status == 200


async def test_hints_come_before_the_answer(serve):
    async def handler(exchange):
        exchange.hint([b"</a.css>; rel=preload", b"</b.js>; rel=preload"])
        return "page"

    async with serve({"GET /": handler}) as site:
        client = await connect(site)
        stream = await client.send()
        assert (await client.reply(stream)).body == b"page"
        first = client.events[stream][0]
        assert isinstance(first, h2.events.InformationalResponseReceived)
        assert [value for name, value in first.headers if name == b"link"] == [
            b"</a.css>; rel=preload",
            b"</b.js>; rel=preload",
        ]


@pytest.mark.parametrize("size", [0, 5, 200_000])
@pytest.mark.parametrize("asked", [True, False])
async def test_trailers_end_the_stream_for_who_asks(serve, size, asked):
    async def handler(exchange):
        exchange.start(200, [])
        exchange.write(b"x" * size)
        exchange.end([(b"X-Sum", b"1"), (b"connection", b"close")])

    async with serve({"GET /": handler}) as site:
        client = await connect(site)
        stream = await client.send("GET", "/", *([("te", "trailers")] if asked else []))
        reply = await client.reply(stream)
    assert reply.body == b"x" * size
    found = [e for e in client.events[stream] if isinstance(e, h2.events.TrailersReceived)]
    assert [event.headers for event in found] == ([[(b"x-sum", b"1")]] if asked else [])
