"""A request of an ASGI application: its messages in, its messages out.

Theory: `send` turns into `exchange.start`, `write` and `end` at once, so that what the application
does after the last piece of the body (background tasks) holds up no answer. The response's start
is held back until its first body tells whether it is whole: then it is sent with its length. One
that names no length waits for a turn of the loop at most: clients of event streams wait for it.

Rules, those of uvicorn, since they are what applications are tried with: a client that goes cancels
nothing. `receive` says `http.disconnect` from then on, and after the end of the answer; `send` does
nothing (ASGI 2.3; from 2.4 on it would raise, and Starlette's streams would listen no more). A
message out of order raises at the one who sent it. A body that the engine refuses half way (413,
408, 400) is answered so, and to the application its client has gone.
"""

import asyncio
import os
from collections.abc import MutableMapping, Sequence
from typing import Any

from megahertz.engine import Answer, Exchange, asgi_answer, asgi_is_sized
from megahertz.errors import HTTPError, LocalProtocolError
from megahertz.http.problems import problem

Message = MutableMapping[str, Any]

EXTENSIONS: dict[str, Any] = {
    "http.response.early_hint": {},
    "http.response.pathsend": {},
    "http.response.trailers": {},
}

MOST_UNHEARD = 10_000
"""Messages to a client that has gone, after which `send` raises: some 100 KiB of events of 10 bytes
were sent to nobody. uvicorn takes any number, and who sends in a loop then never ends."""


class RequestCycle:
    """One request, from its first message to its last.

    Args:
        exchange: of the request.
        added: header fields, beside the application's own.

    Attributes:
        complete: the answer is out.
        left: nothing more will be sent.
    """

    __slots__ = (
        "_added",
        "_body_ended",
        "_exchange",
        "_gone",
        "_head",
        "_owed",
        "_received",
        "_trailers",
        "_unheard",
        "complete",
        "left",
    )

    def __init__(self, exchange: Exchange, added: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._exchange = exchange
        self._added = added
        self._received = self._body_ended = False
        self._head: Message | None = None
        self._owed: int | None = None
        self._trailers: list[tuple[bytes, bytes]] | None = None
        self._unheard = 0
        self.complete = False
        self.left = False
        self._gone: asyncio.Future[None] | None = None

    async def receive(self) -> Message:
        """The body first, in pieces, then nothing until the client is gone or has its answer."""
        if not (self._received or self._exchange.closed):
            piece = await self._piece()
            if piece is not None:
                self._received = not (self._exchange.streamed and piece)
                return {"type": "http.request", "body": piece, "more_body": not self._received}
        if not (self.left or self._exchange.closed):
            if self._gone is None:
                self._gone = self._exchange.gone()
            await asyncio.shield(self._gone)
        return {"type": "http.disconnect"}

    async def _piece(self) -> bytes | None:
        """None: there will be none."""
        try:
            while (piece := self._exchange.read()) is None:
                await self._exchange.readable()
                if self._exchange.closed:
                    return None
        except HTTPError as error:
            if self._exchange.started:
                raise
            self._exchange.answer(problem(error))
            return None
        return piece

    async def send(self, message: Message) -> None:
        """The start of the response, then its body in one or more pieces."""
        kind, head = message["type"], self._head
        if kind == "http.response.body" and head is not None and not self._body_ended:
            if type(self._exchange) is Exchange and asgi_answer(self._exchange, head, message):
                self._end()
            elif self._exchange.closed:
                await self._unheard_of()
            elif self._write(head, message):
                await self._exchange.drain()
        elif kind == "http.response.start" and head is None:
            if self._added:
                message = {**message, "headers": [*message.get("headers", ()), *self._added]}
            self._head = message
            if not asgi_is_sized(message):
                asyncio.get_running_loop().call_soon(self._begin, message)
        elif self._exchange.closed and not self.complete:
            await self._unheard_of()
        else:
            self._extend(kind, message)

    def _begin(self, head: Message) -> None:
        """The head by itself, where no body has come right behind it."""
        if not (self._exchange.started or self._exchange.closed):
            self._start(head, None)
            self._exchange.write(b"")

    def _start(self, head: Message, length: int | None) -> None:
        fields, self._owed = _fields(head, length)
        if self._exchange.method == "HEAD":
            self._owed = None
        self._exchange.start(head["status"], fields)

    def _write(self, head: Message, message: Message) -> bool:
        """Whether the client has to catch up before the next piece."""
        exchange = self._exchange
        body, more = bytes(message.get("body", b"")), message.get("more_body", False)
        if not exchange.started:
            unknown = more or head.get("trailers") or (exchange.method == "HEAD" and not body)
            self._start(head, None if unknown else len(body))
        self._owe(len(body), more)
        held_up = bool(body) and not exchange.write(body)
        if not more:
            self._body_ended = True
            if not head.get("trailers"):
                exchange.end()
                self._end()
        return held_up and bool(more)

    def _owe(self, size: int, more: bool) -> None:
        """Tells the application, and not only its client, of a length that is not met."""
        if self._owed is None:
            return
        self._owed -= size
        if self._owed < 0 or (self._owed > 0 and not more):
            how = "longer" if self._owed < 0 else "shorter"
            raise LocalProtocolError(f"the body is {how} than its content-length")

    def _extend(self, kind: str, message: Message) -> None:
        """What the extensions add."""
        head = self._head
        if kind == "http.response.early_hint" and not (self._exchange.started or self.complete):
            self._exchange.hint([bytes(link) for link in message["links"]])
        elif kind == "http.response.early_hint" and not self.complete:
            pass  # too late to be a hint
        elif kind == "http.response.pathsend" and head is not None and not self._exchange.started:
            self._exchange.answer(_file(head, message["path"]))
            self._end()
        elif kind == "http.response.trailers" and self._body_ended and not self.complete:
            fields = message.get("headers", ())
            more = [(bytes(name), bytes(value)) for name, value in fields]
            self._trailers = (self._trailers or []) + more
            if not message.get("more_trailers", False):
                self._exchange.end(self._trailers)
                self._end()
        else:
            raise LocalProtocolError(f"{kind} {self._expected()}")

    async def _unheard_of(self) -> None:
        self._unheard += 1
        if self._unheard > MOST_UNHEARD:
            raise OSError(f"the client has gone, {MOST_UNHEARD} messages ago")
        await asyncio.sleep(0)  # who sends in a loop holds up nobody else

    def _end(self) -> None:
        self.complete = self._body_ended = True
        self.leave()

    def leave(self) -> None:
        """Nothing more will be sent: whoever waits in `receive` learns so."""
        self.left = True
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def check(self) -> None:
        """Raises where the application has returned without a whole answer."""
        if not (self.complete or self._exchange.closed):
            raise LocalProtocolError(f"the application returned {self._expected()}")

    def _expected(self) -> str:
        if self.complete:
            return "after the response was complete"
        if self._body_ended:
            return "where http.response.trailers was due"
        return "where http.response.body was due" if self._head else "before http.response.start"


def _fields(head: Message, length: int | None) -> tuple[list[tuple[bytes, bytes]], int | None]:
    """The header fields, with the body's length where it is known and missing; and that length.

    How the body is framed is ours to say: transfer-encoding goes (RFC 9112 section 6.1), and
    204 and 304 have no length (RFC 9110 section 8.6).
    """
    bodiless = head["status"] in (204, 304)
    fields, said = [], None
    for name, value in head.get("headers", ()):
        lower = bytes(name).lower()
        if lower != b"transfer-encoding":
            fields.append((lower, bytes(value)))
            said = bytes(value) if lower == b"content-length" else said
    if length is not None and not bodiless and said is None:
        fields.append((b"content-length", b"%d" % length))
    owed = int(said) if said is not None and said.isdigit() and not bodiless else None
    return fields, owed


def _file(head: Message, path: str) -> Answer:
    """The file from its beginning to its end, sent by the kernel; a length said is replaced."""
    fields = [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
              for name, value in head.get("headers", ())]  # fmt: skip
    answer = Answer(b"", head["status"], fields)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        answer.attach(descriptor, [(0, os.fstat(descriptor).st_size)])
    finally:
        os.close(descriptor)
    return answer
