"""A pool that answers from a script."""

import asyncio
from dataclasses import dataclass, field
from typing import Any


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
