"""WebSockets over HTTP/2 (RFC 8441), as hyper's h2 and frames by hand see them."""

import asyncio

import h2.events
import pytest
from h2.settings import SettingCodes

from megahertz.engine import SocketSettings
from tests.engine.streams import connect
from tests.engine.test_socket import echo, flood
from tests.http.peer import BINARY, CLOSE, DEFLATE, PING, PONG, TEXT, frame, packed, unpacked

ASKS = [(":protocol", "websocket"), ("sec-websocket-version", "13")]


class Tunnel:
    """One socket on a stream of `client`."""

    def __init__(self, client, stream):
        self.client, self.stream, self._data, self._seen = client, stream, b"", 0

    async def send(self, *args, **options):
        await self.client.upload(self.stream, frame(*args, **options), end=False)

    async def status(self) -> int:
        event = await self._next(h2.events.ResponseReceived)
        self.fields = {name.decode(): value.decode() for name, value in event.headers}
        return int(self.fields[":status"])

    async def receive(self) -> tuple[int, bytes]:
        first, second = await self._take(2)
        size = second
        if size > 125:
            size = int.from_bytes(await self._take(2 if size == 126 else 8), "big")
        return first & 127, await self._take(size)

    async def ended(self) -> type:
        """How the stream ends: whole, or by a reset."""
        return type(await self._next(h2.events.StreamEnded, h2.events.StreamReset))

    async def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            self._data += (await self._next(h2.events.DataReceived)).data
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    async def _next(self, *kinds):
        while True:
            events = self.client.events[self.stream]
            while self._seen < len(events):
                self._seen += 1
                if isinstance(events[self._seen - 1], kinds):
                    return events[self._seen - 1]
            assert await self.client.turn(), "closed"


async def ask(client, *fields, path="/") -> Tunnel:
    fields = [*ASKS, *fields]
    return Tunnel(client, await client.send("CONNECT", path, *fields, end=False))


async def open_tunnel(client, *fields, path="/") -> Tunnel:
    tunnel = await ask(client, *fields, path=path)
    assert await tunnel.status() == 200
    return tunnel


class Silent:
    """Takes nothing until it is told to; then it says how its socket ended."""

    def __init__(self):
        self.go, self.end = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def __call__(self, exchange):
        socket = exchange.upgrade(SocketSettings(compress=False), [])
        await self.go.wait()
        while socket.ended is None:
            while (message := socket.take()) is not None:
                socket.send(str(len(message)))
            await socket.wait()
        self.end.set_result(socket.ended)


async def test_messages_come_back_whole(serve):
    async with serve({"(websocket) /": echo}) as site:
        client = await connect(site)
        tunnel = await open_tunnel(client)
        assert client.h2.remote_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1
        assert not {"upgrade", "connection", "sec-websocket-accept"} & tunnel.fields.keys()
        for size in (0, 1, 16_000, 70_000, 1_000_000):
            await tunnel.send(BINARY, b"x" * size)
            assert await tunnel.receive() == (BINARY, b"x" * size)
        await tunnel.send(PING, b"there?")
        assert await tunnel.receive() == (PONG, b"there?")
        assert site.server.statistics().sockets == 1


async def test_many_sockets_share_a_connection_with_requests(serve):
    async def hello(exchange):
        return b"hello"

    async with serve({"(websocket) /": echo, "GET /": hello}) as site:
        client = await connect(site)
        tunnels = [await open_tunnel(client) for _ in range(50)]
        for number, tunnel in enumerate(tunnels):
            await tunnel.send(TEXT, str(number).encode())
        assert (await client.get("/")).body == b"hello"
        for number, tunnel in enumerate(tunnels):
            assert await tunnel.receive() == (TEXT, str(number).encode())
        assert site.server.statistics().connections == 1


async def test_what_comes_before_the_answer_is_kept(serve):
    go = asyncio.Event()

    async def late(exchange):
        await go.wait()
        await echo(exchange)

    async with serve({"(websocket) /": late}) as site:
        tunnel = await ask(await connect(site))
        await tunnel.send(TEXT, b"early")
        go.set()
        assert await tunnel.status() == 200
        assert await tunnel.receive() == (TEXT, b"early")


async def test_a_sender_waits_for_a_slow_reader(serve):
    async with serve({"(websocket) /": flood}) as site:
        tunnel = await open_tunnel(await connect(site))
        got = [int((await tunnel.receive())[1].rstrip(b".")) for _ in range(200)]
        assert got == list(range(200))
        assert (await tunnel.receive())[0] == CLOSE


async def test_a_socket_that_nobody_reads_shuts_its_window(serve):
    silent = Silent()
    async with serve({"(websocket) /": silent}, unread_bytes=10_000) as site:
        client = await connect(site)
        tunnel = await open_tunnel(client)
        sent = 0
        while (room := client.h2.local_flow_control_window(tunnel.stream)) > 1_100:
            await tunnel.send(BINARY, b"x" * min(room - 100, 1_000))
            sent += 1
        other = await open_tunnel(client, path="/")  # the connection is not held up
        assert client.h2.local_flow_control_window(tunnel.stream) <= 1_100
        silent.go.set()
        for _ in range(sent):
            assert (await tunnel.receive())[0] == TEXT
        await other.send(TEXT, b"four")
        assert await other.receive() == (TEXT, b"4")


async def test_compression_is_negotiated(serve):
    async def packs(exchange):
        socket = exchange.upgrade(SocketSettings(compress=True), [])
        await socket.wait()
        socket.send(socket.take() * 2)

    async with serve({"(websocket) /": packs}) as site:
        name, value = DEFLATE.lower().split(": ")
        tunnel = await open_tunnel(await connect(site), (name, value))
        assert "permessage-deflate" in tunnel.fields["sec-websocket-extensions"]
        await tunnel.send(TEXT, packed(b"x" * 2_000), rsv=4)
        opcode, payload = await tunnel.receive()
        assert (opcode, unpacked(payload)) == (64 | TEXT, b"x" * 4_000)


async def test_a_close_is_answered_and_ends_the_stream(serve):
    silent = Silent()
    silent.go.set()
    async with serve({"(websocket) /": silent}) as site:
        client = await connect(site)
        tunnel = await open_tunnel(client)
        await tunnel.send(CLOSE, b"\x0f\xa0bye")
        assert await tunnel.receive() == (CLOSE, b"\x0f\xa0bye")
        assert await tunnel.ended() is h2.events.StreamEnded
        assert await silent.end == (4000, "bye")
        assert client.open


async def test_a_broken_rule_ends_the_stream_with_its_code(serve):
    async with serve({"(websocket) /": echo}) as site:
        tunnel = await open_tunnel(await connect(site))
        await tunnel.send(TEXT, b"x", masked=False)
        opcode, payload = await tunnel.receive()
        assert (opcode, payload[:2]) == (CLOSE, (1002).to_bytes(2, "big"))
        assert await tunnel.ended() is h2.events.StreamEnded


@pytest.mark.parametrize("how", ["reset", "end", "gone"])
@pytest.mark.parametrize("held", [False, True])
async def test_a_peer_that_leaves_is_told_of_once(serve, how, held):
    silent = Silent()
    if not held:
        silent.go.set()
    async with serve({"(websocket) /": silent}, unread_bytes=1_000) as site:
        client = await connect(site)
        tunnel = await open_tunnel(client)
        await tunnel.send(TEXT, b"x" * 2_000)
        if not held:
            await tunnel.receive()
        if how == "reset":
            client.h2.reset_stream(tunnel.stream)
        elif how == "end":
            client.h2.end_stream(tunnel.stream)
        await client.flush()
        if how == "gone":
            client.writer.transport.abort()
        silent.go.set()
        code, _ = await asyncio.wait_for(silent.end, 20)
        assert code == 1006


async def test_a_silent_peer_is_pinged_then_given_up(serve):
    silent = Silent()
    silent.go.set()
    limits = {"ping_interval": 0.02, "ping_timeout": 0.02}
    async with serve({"(websocket) /": silent}, **limits) as site:
        tunnel = await open_tunnel(await connect(site))
        assert await tunnel.receive() == (PING, b"")
        assert await tunnel.ended() is h2.events.StreamReset
        assert (await silent.end)[0] == 1006
        assert site.server.statistics().silent == 1


async def test_a_stop_closes_the_socket_then_the_connection(serve):
    async with serve({"(websocket) /": echo}) as site:
        client = await connect(site)
        tunnel = await open_tunnel(client)
        stopping = asyncio.create_task(site.server.stop(20))
        opcode, payload = await tunnel.receive()
        assert (opcode, payload[:2]) == (CLOSE, (1012).to_bytes(2, "big"))
        await tunnel.send(CLOSE, payload)
        assert await tunnel.ended() is h2.events.StreamEnded
        while await client.turn():
            pass
        assert client.left == 0
        await stopping


@pytest.mark.parametrize(
    ("fields", "path", "status"),
    [
        ([(":protocol", "websocket")], "/", 400),
        ([(":protocol", "websocket"), ("sec-websocket-version", "8")], "/", 400),
        ([(":protocol", "connect-udp")], "/", 501),
        (ASKS, "/page", 405),
        (ASKS, "/nothing", 404),
    ],
    ids=["no version", "old", "other protocol", "no socket there", "nothing there"],
)
async def test_what_cannot_become_a_socket_is_told_why(serve, fields, path, status):
    async def page(exchange):
        return b"page"

    async with serve({"(websocket) /": echo, "GET /page": page}) as site:
        client = await connect(site)
        stream = await client.send("CONNECT", path, *fields, end=False)
        assert await Tunnel(client, stream).status() == status
        assert (await client.get("/page")).body == b"page"


async def test_a_tunnel_without_octets_is_refused(serve):
    async with serve({"(websocket) /": echo}) as site:
        client = await connect(site)
        stream = await client.send("CONNECT", "/", *ASKS)
        assert await Tunnel(client, stream).status() == 501
