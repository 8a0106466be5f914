"""A client of HTTP/2 (hyper's h2) that reads once a turn and sorts the events by stream."""

import asyncio

import h2.connection
import h2.events

from tests.engine.conftest import Reply


class Client:
    """One connection; `turn` reads once and sorts the events by stream."""

    def __init__(self, reader, writer, **settings):
        self.reader, self.writer = reader, writer
        self.h2 = h2.connection.H2Connection()
        if settings:
            self.h2.local_settings.update(settings)
        self.h2.initiate_connection()
        self.events, self.left, self.open = {}, None, True
        self.eager, self.rest = True, b""

    async def flush(self):
        self.writer.write(self.h2.data_to_send())
        await self.writer.drain()

    async def send(self, method="GET", path="/", *fields, body=None, end=True) -> int:
        stream = self.h2.get_next_available_stream_id()
        headers = [(":method", method), (":scheme", "http"), (":path", path)]
        if not any(name == ":authority" for name, _ in fields):
            headers.append((":authority", "test"))
        headers[4:] = fields
        self.h2.send_headers(
            stream,
            sorted(headers, key=lambda item: item[0][0] != ":"),
            end_stream=body is None and end,
        )
        self.events[stream] = []
        if body is not None:
            self.h2.send_data(stream, body, end_stream=end)
        await self.flush()
        return stream

    async def turn(self) -> bool:
        data = await asyncio.wait_for(self.reader.read(65536), 20)
        if not data:
            self.open = False
            return False
        for event in self.received(data):
            if isinstance(event, h2.events.ConnectionTerminated):
                self.left = event.error_code
                # hyper's h2 knows no graceful end: running streams go on behind a GOAWAY.
                self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
            elif getattr(event, "stream_id", None) in self.events:
                self.events[event.stream_id].append(event)
                if isinstance(event, h2.events.DataReceived) and self.eager:
                    size = event.flow_controlled_length
                    self.h2.acknowledge_received_data(size, event.stream_id)
        await self.flush()
        return True

    def received(self, data):
        """Frame by frame: what stands behind a GOAWAY would be lost in one piece."""
        self.rest += data
        while len(self.rest) >= 9 and len(self.rest) >= (
            size := 9 + int.from_bytes(self.rest[:3], "big")
        ):
            frame, self.rest = self.rest[:size], self.rest[size:]
            yield from self.h2.receive_data(frame)

    async def reply(self, stream) -> Reply:
        """The whole answer; a reset raises."""
        while True:
            kinds = [type(event) for event in self.events[stream]]
            if h2.events.StreamEnded in kinds:
                break  # a reset behind it says that the rest of the request is not wanted
            if h2.events.StreamReset in kinds:
                raise ConnectionResetError(self.events[stream])
            if not await self.turn():
                raise ConnectionError("closed")
        fields, body = {}, b""
        for event in self.events[stream]:
            if isinstance(event, h2.events.ResponseReceived):
                fields = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
        return Reply(int(fields[":status"]), fields, body)

    async def get(self, path="/", *fields) -> Reply:
        return await self.reply(await self.send("GET", path, *fields))

    async def upload(self, stream, body, *, end=True):
        """As much of the body as the windows let through, then the rest when they open."""
        while body:
            room = min(self.h2.local_flow_control_window(stream), 16384, len(body))
            if room == 0:
                await self.turn()
                continue
            self.h2.send_data(stream, body[:room], end_stream=end and room == len(body))
            body = body[room:]
            await self.flush()


async def connect(site, **options) -> Client:
    peer = await site.peer()
    client = Client(peer.reader, peer.writer, **options)
    await client.flush()
    return client
