"""Any ASGI 3 application as a service of the engine.

Theory: the application's coroutine is the handler. Its `send` turns into `exchange.start`,
`write` and `end` at once, so that what it does after the last piece of the body (background
tasks) holds up no answer. A response that comes in one message is sent with its length.

Rules: after the client has gone, or the answer is complete, `receive` says `http.disconnect` and
`send` raises OSError (ASGI 2.4). A message out of order raises at the one who sent it. An
application that ends without an answer, or raises before it began one, is a 500.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from megahertz.engine import Answer, Endpoint, Exchange, Route, asgi_answer, asgi_scope
from megahertz.errors import LocalProtocolError
from megahertz.http.asgi_socket import EXTENSIONS, SocketCycle, subprotocols
from megahertz.http.encode import encode
from megahertz.http.lifespan import AsgiLifespan
from megahertz.http.problems import problem, refusals, report

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Any, Receive, Send], Awaitable[None]]

_VERSIONS = {"version": "3.0", "spec_version": "2.4"}


class AsgiHost:
    """Serves an ASGI application: FastAPI, Starlette, Litestar, Django.

    Args:
        app: `async app(scope, receive, send)`.
        root_path: where a proxy in front of us has mounted it.
    """

    def __init__(self, app: Asgi, *, root_path: str = "") -> None:
        self._app = app
        self._lifespan = AsgiLifespan(app)
        self._template: dict[str, Any] = {
            "type": "http",
            "asgi": _VERSIONS,
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "root_path": root_path,
            "headers": [],
            "client": None,
            "server": None,
            "extensions": {},
        }

    @property
    def routes(self) -> Sequence[Route]:
        """None: the application routes."""
        return ()

    @property
    def fallback(self) -> Endpoint:
        """Answers everything."""
        return self._serve

    @property
    def refusals(self) -> Mapping[int, Answer]:
        """The engine's own answers, as problem documents."""
        return refusals()

    def encode(self, value: object) -> bytes:
        """JSON; never asked by an ASGI application."""
        return encode(value)

    def failed(self, exchange: Exchange, error: BaseException) -> Answer:
        """500, and the traceback in the log."""
        report(error, f"{exchange.method} {exchange.path}")
        return problem(error)

    async def __aenter__(self) -> "AsgiHost":
        await self._lifespan.start()
        return self

    async def __aexit__(self, *exc: object) -> bool | None:
        await self._lifespan.stop()
        return None

    async def _serve(self, exchange: Exchange) -> Answer | None:
        if exchange.websocket:
            return await self._attend(exchange)
        cycle = _Cycle(exchange)
        try:
            await self._app(self._scope(exchange), cycle.receive, cycle.send)
        finally:
            if not cycle.left:
                cycle.leave()
        if not cycle.complete:
            cycle.check()
        return None

    async def _attend(self, exchange: Exchange) -> Answer | None:
        cycle = SocketCycle(exchange)
        scope = self._scope(exchange)
        del scope["method"]
        scope["type"] = "websocket"
        scope["scheme"] = "wss" if exchange.secure else "ws"
        scope["subprotocols"] = subprotocols(scope["headers"])
        scope["extensions"] = dict(EXTENSIONS)
        await self._app(scope, cycle.receive, cycle.send)
        return cycle.conclude()

    def _scope(self, exchange: Exchange) -> dict[str, Any]:
        scope = asgi_scope(exchange, self._template)
        if self._lifespan.state is not None:
            scope["state"] = self._lifespan.state.copy()
        return scope


class _Cycle:
    """One request of the application: its messages in, its messages out.

    `_head` is the response's start, held back until its first body tells whether it is whole.
    """

    __slots__ = ("_exchange", "_gone", "_head", "_received", "complete", "left")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._received = False
        self._head: Message | None = None
        self.complete = False
        self.left = False
        self._gone: asyncio.Future[None] | None = None

    async def receive(self) -> Message:
        """The body first, in pieces, then nothing until the client is gone or has its answer."""
        if not (self._received or self._exchange.closed):
            piece = await self._piece()
            self._received = not (self._exchange.streamed and piece)
            return {"type": "http.request", "body": piece, "more_body": not self._received}
        if not (self.left or self._exchange.closed):
            if self._gone is None:
                self._gone = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._gone)
        return {"type": "http.disconnect"}

    async def _piece(self) -> bytes:
        while (piece := self._exchange.read()) is None:
            await self._exchange.readable()
        return piece

    async def send(self, message: Message) -> None:
        """The start of the response, then its body in one or more pieces."""
        kind, head = message["type"], self._head
        if kind == "http.response.start" and head is None:
            self._head = message
        elif kind == "http.response.body" and head is not None and not self.complete:
            exchange = self._exchange
            if asgi_answer(exchange, head, message):
                self.complete = True
                self.leave()
                return
            if exchange.closed:
                raise OSError("the client has gone")
            body, more = message.get("body", b""), message.get("more_body", False)
            if not exchange.started:
                unknown = more or (exchange.method == "HEAD" and not body)
                exchange.start(head["status"], _fields(head, None if unknown else len(body)))
            held_up = bool(body) and not exchange.write(bytes(body))
            if not more:
                self.complete = True
                exchange.end()
                self.leave()
            elif held_up:
                await exchange.drain()
        else:
            raise LocalProtocolError(f"{kind} {self._expected()}")

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
        return "where http.response.body was due" if self._head else "before http.response.start"


def _fields(head: Message, length: int | None) -> list[tuple[bytes, bytes]]:
    """The header fields, with the body's length where it is known and missing.

    How the body is framed is ours to say: transfer-encoding goes (RFC 9112 section 6.1), and
    204 and 304 have no length (RFC 9110 section 8.6).
    """
    fields, known = [], head["status"] in (204, 304)
    for name, value in head.get("headers", ()):
        lower = bytes(name).lower()
        if lower != b"transfer-encoding":
            fields.append((lower, bytes(value)))
            known = known or lower == b"content-length"
    if length is not None and not known:
        fields.append((b"content-length", b"%d" % length))
    return fields
