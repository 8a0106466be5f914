"""Many requests on one connection, against our own server and one that says what the test wants."""

import asyncio
import gc
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
import trustme

from megahertz.engine import ClientTlsConfig, Origin, Pool, PoolSettings, Tls
from megahertz.errors import (
    AnswerTooLarge,
    DeadlineExceeded,
    LocalProtocolError,
    ReadError,
    RemoteProtocolError,
)

from .origin import turns
from .test_tls import identity


class Peer:
    """A server of HTTP/2 by the test's hand: its events wait in `heard`."""

    def __init__(self, settings: dict[int, int]) -> None:
        self.heard: asyncio.Queue[tuple[Speaker, h2.events.Event]] = asyncio.Queue()
        self.speakers: list[Speaker] = []
        self.settings = settings

    async def serve(self, reader, writer) -> None:
        speaker = Speaker(writer, self.settings)
        self.speakers.append(speaker)
        try:
            while octets := await reader.read(65_536):
                for event in speaker.h2.receive_data(octets):
                    self.heard.put_nowait((speaker, event))
                speaker.flush()
        except ConnectionError:
            pass
        writer.close()

    async def until(self, kind: type[h2.events.Event]):
        """The next event of that kind, and on which connection."""
        while True:
            speaker, event = await self.heard.get()
            if isinstance(event, kind):
                return speaker, event


class Speaker:
    """One of its connections."""

    def __init__(self, writer, settings) -> None:
        self.writer = writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        initial = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100, **settings}
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=initial)
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    async def say(self, stream: int, body: bytes = b"", *, end: bool = True, head: bool = True):
        if head:
            ends = end and not body
            self.h2.send_headers(stream, [(":status", "200"), ("x-a", "1")], end_stream=ends)
        if body:
            self.h2.send_data(stream, body, end_stream=end)
        self.flush()
        await turns()


@asynccontextmanager
async def peered(settings=None, **limits):
    peer = Peer(settings or {})
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    pool = Pool(PoolSettings(http2_prior_knowledge=True, **limits))
    try:
        yield peer, Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1]), pool
    finally:
        await pool.aclose()
        await turns(20)
        server.close()
        for speaker in peer.speakers:
            speaker.writer.close()
            await asyncio.wait([asyncio.ensure_future(speaker.writer.wait_closed())])


def sending(pool, *arguments, **options):
    return asyncio.ensure_future(pool.send(*arguments, **options))


REQUEST = h2.events.RequestReceived


async def test_by_alpn_with_our_own_server(serve, tmp_path):
    authority = trustme.CA()
    tls = Tls(certificates=[identity(tmp_path, "localhost", ca=authority)])
    trusted = ClientTlsConfig(authority.cert_pem.bytes())

    async def version(exchange):
        return exchange.version

    async with serve({"GET /": version}, tls=tls) as site:
        origin = Origin("https", "localhost", site.port)
        for settings, spoken in ((PoolSettings(), "2"), (PoolSettings(http2=False), "1.1")):
            pool = Pool(settings, tls=trusted)
            answers = await asyncio.gather(*(pool.send(origin, "GET", "/") for _ in range(30)))
            assert {answer.body.decode().strip('"') for answer in answers} == {spoken}
            assert {answer.http_version for answer in answers} == {f"HTTP/{spoken}"}
            if spoken == "2":
                assert pool.statistics().dialled == pool.statistics().idle == 1
            await pool.aclose()


async def test_bodies_of_any_size_go_both_ways(serve):
    async def echo(exchange):
        return exchange.body

    body = bytes(range(256)) * 20_000
    async with serve({"POST /": echo}, body_bytes=1 << 24) as site:
        pool = Pool(PoolSettings(http2_prior_knowledge=True))
        origin = Origin("http", "127.0.0.1", site.port)
        answers = await asyncio.gather(
            *(pool.send(origin, "POST", "/", (), body[: size * 1_000_000]) for size in range(6))
        )
        assert [len(answer.body) for answer in answers] == [
            min(len(body), size * 1_000_000) for size in range(6)
        ]
        streamed = await pool.send(origin, "POST", "/", (), body, stream=True)
        assert b"".join([piece async for piece in streamed]) == body
        await pool.aclose()


async def test_fields_and_trailers():
    async with peered() as (peer, origin, pool):
        given = [("X-B", "2"), ("Host", "other"), ("Connection", "close"), ("X-B", "3")]
        sent = sending(pool, origin, "PUT", "/a?b", given, b"abc")
        speaker, request = await peer.until(REQUEST)
        fields = [(name.decode(), value.decode()) for name, value in request.headers]
        assert fields == [
            (":method", "PUT"),
            (":scheme", "http"),
            (":authority", "other"),
            (":path", "/a?b"),
            ("x-b", "2"),
            ("x-b", "3"),
            ("content-length", "3"),
        ]
        await speaker.say(1, b"ok", end=False)
        speaker.h2.send_headers(1, [("x-t", "1")], end_stream=True)
        speaker.flush()
        answer = await sent
        assert (answer.status, answer.reason, answer.http_version) == (200, "", "HTTP/2")
        assert (answer.headers, answer.body) == ([("x-a", "1")], b"ok")
        assert answer.trailers == [("x-t", "1")]


async def test_no_more_streams_than_the_peer_takes():
    limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 2}
    async with peered(limit, connections_per_host=1) as (peer, origin, pool):
        first = sending(pool, origin, "GET", "/")
        speaker, request = await peer.until(REQUEST)
        await speaker.say(request.stream_id)
        await first
        sent = [sending(pool, origin, "GET", f"/{n}") for n in range(5)]
        streams = [(await peer.until(REQUEST))[1].stream_id for _ in range(2)]
        await turns(20)
        assert pool.statistics().waiting == 3
        for _ in range(5):
            await speaker.say(streams.pop(0))
            if pool.statistics().waiting or len(streams) < 2:
                await turns(20)
            while not peer.heard.empty():
                event = peer.heard.get_nowait()[1]
                if isinstance(event, REQUEST):
                    streams.append(event.stream_id)
        assert [(await each).status for each in sent] == [200] * 5
        assert len(peer.speakers) == 1


async def test_a_burst_on_a_new_connection_waits_for_what_the_peer_takes():
    """nghttpd refuses what comes before its settings were read."""
    limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 2}
    async with peered(limit, connections_per_host=1) as (peer, origin, pool):
        sent = [sending(pool, origin, "GET", f"/{n}") for n in range(3)]
        for _ in sent:
            speaker, request = await peer.until(REQUEST)
            await speaker.say(request.stream_id)
        assert [(await each).status for each in sent] == [200] * 3
        assert (pool.statistics().repeated, pool.statistics().dialled) == (0, 1)


@pytest.mark.parametrize("how", ["refused", "goaway"])
async def test_what_was_not_looked_at_is_asked_elsewhere_whatever_it_is(how):
    async with peered() as (peer, origin, pool):
        sent = sending(pool, origin, "POST", "/", (), b"once")
        speaker, request = await peer.until(REQUEST)
        if how == "refused":
            speaker.h2.reset_stream(request.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            speaker.flush()
        else:
            speaker.h2.close_connection(last_stream_id=0)
            speaker.flush()
            speaker.writer.close()
        other, again = await peer.until(REQUEST)
        assert other is not speaker
        await other.say(again.stream_id, b"ok")
        assert (await sent).body == b"ok"
        assert pool.statistics().repeated == 1


async def test_what_is_under_way_ends_well_behind_goaway():
    async with peered() as (peer, origin, pool):
        sent = sending(pool, origin, "GET", "/")
        speaker, request = await peer.until(REQUEST)
        goaway = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + (1).to_bytes(4) + bytes(4)
        speaker.writer.write(goaway)
        await turns(20)
        other = sending(pool, origin, "GET", "/")
        elsewhere, second = await peer.until(REQUEST)
        assert elsewhere is not speaker
        await speaker.say(request.stream_id, b"old")
        await elsewhere.say(second.stream_id, b"new")
        assert [(await sent).body, (await other).body] == [b"old", b"new"]
        while pool.statistics().open > 1:
            await turns()


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("POST", 1)])
async def test_a_connection_that_breaks_takes_only_what_does_harm_twice(method, times):
    async with peered() as (peer, origin, pool):
        sent = sending(pool, origin, method, "/")
        for _ in range(times):
            speaker, _ = await peer.until(REQUEST)
            speaker.writer.transport.abort()
        with pytest.raises(ReadError):
            await sent
        assert pool.statistics().open == 0


@pytest.mark.parametrize("how", ["cancel", "timeout", "aclose", "drop"])
async def test_who_stops_waiting_resets_the_stream_and_no_other(how):
    async with peered() as (peer, origin, pool):
        stays = sending(pool, origin, "GET", "/")
        _, kept = await peer.until(REQUEST)
        timeout = 0.02 if how == "timeout" else None
        stream = how in ("aclose", "drop")
        sent = sending(pool, origin, "GET", "/", timeout=timeout, stream=stream)
        speaker, request = await peer.until(REQUEST)
        if how == "cancel":
            sent.cancel()
        elif how == "timeout":
            with pytest.raises(DeadlineExceeded):
                await sent
        else:
            await speaker.say(request.stream_id, b"piece", end=False)
            answer = await sent
            assert await anext(answer) == b"piece"
            if how == "aclose":
                await answer.aclose()
            del answer, sent
            gc.collect()
        reset = (await peer.until(h2.events.StreamReset))[1]
        assert (reset.stream_id, reset.error_code) == (request.stream_id, 8)
        await speaker.say(kept.stream_id, b"ok")
        assert (await stays).body == b"ok"
        assert pool.statistics().dialled == 1


async def test_what_is_not_read_is_not_sent_on():
    async with peered() as (peer, origin, pool):
        sent = sending(pool, origin, "GET", "/", stream=True)
        speaker, request = await peer.until(REQUEST)
        stream = request.stream_id
        await speaker.say(stream, end=False)
        answer, said = await sent, 0
        while window := speaker.h2.local_flow_control_window(stream):
            piece = bytes(min(window, 16_384))
            speaker.h2.send_data(stream, piece)
            speaker.flush()
            said += len(piece)
            await turns()
        await turns(50)
        assert speaker.h2.local_flow_control_window(stream) == 0 and said == 2 * 1024 * 1024
        read = len(await anext(answer))
        while read < said:
            read += len(await anext(answer))
        await peer.until(h2.events.WindowUpdated)
        speaker.h2.end_stream(stream)
        speaker.flush()
        assert [piece async for piece in answer] == []


async def test_a_body_in_pieces_waits_for_the_window():
    made = 0

    async def pieces():
        nonlocal made
        for _ in range(64):
            made += 1
            yield bytes(16_384)

    async with peered() as (peer, origin, pool):
        sent = sending(pool, origin, "POST", "/", (), pieces())
        speaker, request = await peer.until(REQUEST)
        assert b"transfer-encoding" not in dict(request.headers)
        await turns(100)
        assert made < 64
        got = 0
        while True:
            event = (await peer.heard.get())[1]
            if isinstance(event, h2.events.DataReceived):
                got += len(event.data)
                if event.flow_controlled_length:
                    speaker.h2.acknowledge_received_data(event.flow_controlled_length, 1)
                    speaker.flush()
            if isinstance(event, h2.events.StreamEnded):
                break
        assert got == 64 * 16_384
        await speaker.say(request.stream_id, b"ok")
        assert (await sent).body == b"ok"


async def test_an_answer_beyond_the_limit_is_refused_and_its_connection_kept():
    async with peered(max_body=4) as (peer, origin, pool):
        sent = sending(pool, origin, "GET", "/")
        speaker, request = await peer.until(REQUEST)
        await speaker.say(request.stream_id, b"12345", end=False)
        with pytest.raises(AnswerTooLarge):
            await sent
        await peer.until(h2.events.StreamReset)
        assert pool.statistics().idle == 1


async def test_what_cannot_be_said_is_an_error():
    async with peered() as (peer, origin, pool):
        with pytest.raises(LocalProtocolError):
            await pool.send(origin, "GET", "/", [("host", "a b")])
        sent = sending(pool, origin, "GET", "/")
        speaker, request = await peer.until(REQUEST)
        speaker.h2.reset_stream(request.stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
        speaker.flush()
        with pytest.raises(RemoteProtocolError):
            await sent


async def test_a_server_that_speaks_something_else_is_an_error():
    async def nonsense(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    pool = Pool(PoolSettings(http2_prior_knowledge=True))
    origin = Origin("http", "127.0.0.1", server.sockets[0].getsockname()[1])
    with pytest.raises((RemoteProtocolError, ReadError)):
        await pool.send(origin, "POST", "/")
    await pool.aclose()
    await turns()
    server.close()


async def test_it_does_not_rest_for_ever():
    async with peered(idle_time=0.01) as (_, origin, pool):
        await pool.warm(origin)
        while pool.statistics().open:
            await turns()
