"""Pools for tests: one that answers from a script, one of plain sockets."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import h11


@dataclass
class Sent:
    """A request as the pool was given it."""

    origin: Any
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: Any
    timeout: float | None
    stream: bool
    via: Any
    server_name: str | None

    def header(self, name):
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Came:
    """An answer."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    reason: str = ""
    http_version: str = "HTTP/1.1"
    trailers: list[tuple[str, str]] = field(default_factory=list)
    pieces: list[bytes] | None = None
    closed: int = 0

    def header(self, name):
        return next((value for key, value in self.headers if key == name), None)

    async def __aiter__(self):
        for piece in [self.body] if self.pieces is None else self.pieces:
            yield piece

    async def aclose(self):
        self.closed += 1


class Scripted:
    """Answers with what it was given: an answer, an error, or a function of the request."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []
        self.closed = 0
        self.warmed = []

    async def send(
        self,
        origin,
        method,
        target,
        headers=(),
        body=None,
        *,
        timeout=None,
        stream=False,
        via=None,
        server_name=None,
    ):
        if body is not None and not isinstance(body, bytes):
            body = b"".join([piece async for piece in body])
        self.sent.append(
            Sent(origin, method, target, list(headers), body, timeout, stream, via, server_name)
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(self.sent[-1])
            if asyncio.iscoroutine(answer):
                answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def warm(self, origin, connections=1):
        self.warmed.append((origin, connections))

    async def aclose(self):
        self.closed += 1

    def statistics(self):
        return "scripted"


class Plain:
    """A connection a request, by h11."""

    def __init__(self):
        self._writers = []

    async def send(
        self, origin, method, target, headers=(), body=None, *, timeout=None, stream=False, **_
    ):
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(origin.host, origin.port)
            try:
                return await self._talk(reader, writer, origin, method, target, headers, body)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _talk(self, reader, writer, origin, method, target, headers, body):
        known = {name for name, _ in headers}
        fields = list(headers)
        if "host" not in known:
            fields.insert(0, ("host", f"{origin.host}:{origin.port}"))
        if isinstance(body, bytes):
            fields.append(("content-length", str(len(body))))
        elif body is not None and "content-length" not in known:
            fields.append(("transfer-encoding", "chunked"))
        talk = h11.Connection(h11.CLIENT)
        writer.write(talk.send(h11.Request(method=method, target=target, headers=fields)))
        if isinstance(body, bytes):
            writer.write(talk.send(h11.Data(data=body)))
        elif body is not None:
            async for piece in body:
                writer.write(talk.send(h11.Data(data=piece)))
        writer.write(talk.send(h11.EndOfMessage()))
        answer, pieces = None, []
        while True:
            event = talk.next_event()
            if event is h11.NEED_DATA:
                talk.receive_data(await reader.read(65_536))
            elif isinstance(event, h11.Response):
                answer = event
            elif isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                fields = [(n.decode(), v.decode("latin-1")) for n, v in answer.headers]
                return Came(answer.status_code, fields, b"".join(pieces), answer.reason.decode())

    async def warm(self, origin, connections=1):
        pass

    async def aclose(self):
        pass

    def statistics(self):
        return None
