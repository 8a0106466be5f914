"""An application as ASGI 3: what uvicorn, Starlette's middleware and test client call.

A request goes through the engine's own router and the same endpoints; only what reads and writes
is another (`guest.py`).
"""

import asyncio
import inspect
from collections.abc import Callable, MutableMapping, Sequence
from functools import partial
from typing import Any, Protocol, cast

from megahertz.context import CLOSED, DEADLINE, EXPIRED, GONE
from megahertz.engine import (
    WEBSOCKET,
    Answer,
    Callbacks,
    Endpoint,
    Exchange,
    GatePass,
    Route,
    Routes,
)
from megahertz.errors import BadRoute, DeadlineExceeded, HTTPError
from megahertz.http.guest import GuestExchange, Message, Receive, Send
from megahertz.http.guest_socket import GuestRooms, GuestSocket
from megahertz.http.response import Response, answer_of
from megahertz.settings import Limits

STREAM_BYTES = 64 * 1024
"""Bodies above this are left to handlers that can read them piece by piece, as in the engine."""


class Served(Protocol):
    """What the face is of: an `App`."""

    dependency_overrides: MutableMapping[Callable[..., Any], Callable[..., Any]]

    @property
    def routes(self) -> Sequence[Route]: ...

    @property
    def refusals(self) -> Any: ...

    @property
    def fallback(self) -> Endpoint | None: ...

    def failed(self, exchange: Exchange, error: BaseException) -> Answer: ...

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *exc: object) -> bool | None: ...


class Face:
    """`await face(scope, receive, send)`."""

    def __init__(self, app: Served) -> None:
        self._app = app
        self._rooms = GuestRooms()
        self._routes: list[Route] = []
        self._router = Routes()
        self._made_with: dict[Any, Any] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            return await self._lifespan(receive, send)
        if kind not in ("http", "websocket"):
            raise NotImplementedError(f"an ASGI scope of the type {kind!r}")
        self._ready()
        if kind == "websocket":
            await receive()  # websocket.connect, and nothing else may come first
        await _Turn(self._app, self._rooms, scope, receive, send).take(self._router, self._routes)

    def refusal(self, exchange: Any) -> Answer:
        """The answer to a request that no route takes."""
        self._ready()
        return _refusal(self._app.refusals, self._router, exchange)

    def _ready(self) -> None:
        if self._made_with != self._app.dependency_overrides:
            self._compile()

    def _compile(self) -> None:
        self._router, self._routes = Routes(), list(self._app.routes)
        for number, route in enumerate(self._routes):
            for method in route.methods:
                try:
                    self._router.add(method, route.pattern, number)
                except ValueError as error:
                    raise BadRoute(f"{method} {route.pattern}: {error}") from error
        self._made_with = dict(self._app.dependency_overrides)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self._compile()
            await self._app.__aenter__()
        except BaseException as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await self._app.__aexit__(None, None, None)
        except BaseException as error:
            await send({"type": "lifespan.shutdown.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})


class _Turn:
    """One request, from its route to its answer."""

    def __init__(
        self, app: Served, rooms: GuestRooms, scope: Message, receive: Receive, send: Send
    ) -> None:
        self._app = app
        self._receive = receive
        self._exchange = GuestExchange(scope, receive, send, rooms, self._upgraded)
        self._exact = cast("Exchange", self._exchange)
        self._task: asyncio.Task[Any] | None = None
        self._others: list[asyncio.Task[Any]] = []
        self._late = False
        self._passed: GatePass | None = None

    async def take(self, router: Routes, routes: list[Route]) -> None:
        """Finds the route, runs its endpoint, sends the answer."""
        exchange = self._exchange
        method = WEBSOCKET if exchange.websocket else exchange.method
        found = router.find(method, exchange.inner_path)
        try:
            if found is None:
                self._conclude(self._refused(router))
            else:
                exchange.params = found[1]
                await self._run(routes[found[0]])
            await exchange.flushed()
        finally:
            for other in self._others:
                other.cancel()
            exchange.untie()
            if self._passed is not None:
                self._passed.leave(exchange.status or (None if exchange.left else 500))

    def _refused(self, router: Routes) -> Answer:
        fallback = self._app.fallback
        if fallback is not None:
            return fallback(self._exact)  # type: ignore[return-value]
        return _refusal(self._app.refusals, router, self._exchange)

    async def _run(self, route: Route) -> None:
        exchange, timer = self._exchange, None
        self._task = asyncio.create_task(self._value(route), name="megahertz-request")
        if route.deadline is not None:
            timer = asyncio.get_running_loop().call_later(route.deadline, self._expire)
        try:
            await asyncio.wait([self._task])
        except asyncio.CancelledError:
            self._task.cancel(CLOSED)
            await asyncio.wait([self._task])
            raise
        finally:
            if timer is not None:
                timer.cancel()
        error = self._error(route)
        if error is not None:
            return self._fail(error)
        value = self._task.result()
        if exchange.socket is not None:
            return await self._attend(exchange.socket)
        if exchange.started and not exchange.closed:
            exchange.end()
        elif not exchange.closed:
            self._conclude(answer_of(value, route.status))

    async def _value(self, route: Route) -> Any:
        exchange = self._exchange
        endpoint, bare = route.endpoint, route.bare
        passed = None if route.gate is None else route.gate.enter(exchange)
        self._passed = passed
        if passed is not None and passed.fell_back and route.instead is not None:
            endpoint, bare = route.instead, False
        if passed is not None and passed.deadline is not None and not exchange.websocket:
            DEADLINE.set(passed.deadline)
        if not exchange.websocket:
            await self._body(route)
        value = endpoint() if bare else endpoint(self._exact)
        value = await value if inspect.isawaitable(value) else value
        if exchange.started or exchange.closed or exchange.websocket:
            return value
        return value if isinstance(value, Answer) else answer_of(value, route.status)

    async def _body(self, route: Route) -> None:
        exchange, lost = self._exchange, partial(self._cancel, GONE)
        text = exchange.header("content-length") or "0"
        length = int(text) if text.isdigit() else 0
        most = Limits().body_bytes if route.body_bytes is None else route.body_bytes
        if length > most:
            raise HTTPError(413)
        chunked = exchange.header("transfer-encoding") is not None
        if route.streams and (chunked or length > STREAM_BYTES):
            exchange.streamed = True
        else:
            await exchange.collect(most)
        self._aside(exchange.listen(most, lost))

    def _aside(self, call: Any) -> None:
        self._others.append(asyncio.create_task(call, name="megahertz-receive"))

    def _cancel(self, reason: str) -> None:
        if self._task is not None:
            self._task.cancel(reason)

    def _expire(self) -> None:
        # Of a socket the deadline bounded the handshake; of an answer, its beginning to its end.
        if not self._exchange.closed:
            self._late = True
            self._cancel(EXPIRED)

    def _error(self, route: Route) -> BaseException | None:
        assert self._task is not None
        if not self._task.cancelled():
            return self._task.exception()
        if self._late:
            return DeadlineExceeded(f"no answer within the deadline of {route.deadline:g} s")
        return asyncio.CancelledError(GONE if self._exchange.left else "cancelled")

    def _fail(self, error: BaseException) -> None:
        exchange = self._exchange
        if exchange.left and isinstance(error, asyncio.CancelledError):
            return
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise error
        answer = self._app.failed(self._exact, error)
        if exchange.socket is not None:
            exchange.socket.close(1011, "internal error")
        elif exchange.started and not exchange.closed:
            raise error  # half an answer is out: only closing tells the client that it is not whole
        elif not exchange.closed:
            self._conclude(answer)

    def _conclude(self, answer: Answer) -> None:
        exchange = self._exchange
        denies = "websocket.http.response" in (exchange.scope.get("extensions") or {})
        if exchange.websocket and not denies:
            exchange.closed = True
            exchange.deny()
        else:
            exchange.answer(answer)

    # WebSockets.

    def _upgraded(self, socket: GuestSocket) -> None:
        self._aside(socket.listen(self._receive, self._ended))

    def _ended(self, socket: GuestSocket) -> None:
        """Cancels a handler that has not looked at its socket since it ended."""

        def give_up() -> None:
            if not socket.told:
                self._cancel(GONE)

        asyncio.get_running_loop().call_later(Limits().close_timeout, give_up)

    async def _attend(self, socket: GuestSocket) -> None:
        if socket.callbacks is None:
            return socket.close()
        callbacks = socket.callbacks
        while socket.ended is None:
            message = socket.take()
            if message is None:
                await socket.wait()
            elif not await _called(callbacks, socket, callbacks.received, message):
                break
        code, reason = socket.ended or (1011, "internal error")
        await _called(callbacks, socket, callbacks.closed, code, reason)


async def _called(
    callbacks: Callbacks, socket: Any, callback: Callable[..., Any], *arguments: Any
) -> bool:
    """Whether the callback went well; the socket is closed where it did not."""
    target = callbacks.make(socket) if socket.kept is None else socket.kept
    try:
        result = callback(target, *arguments)
        if inspect.isawaitable(result):
            await result
    except Exception as error:
        callbacks.failed(socket, error)
        socket.close(1011, "internal error")
        return False
    return True


def _refusal(refusals: Any, router: Routes, exchange: Any) -> Answer:
    path = exchange.inner_path if isinstance(exchange, GuestExchange) else exchange.raw_path
    methods = [name for name in router.allow(path).split(", ") if name]
    # A route of ours that only answers preflights is none to whoever asks for something else.
    if methods and methods != ["OPTIONS"]:
        return _with(refusals[405], [("allow", ", ".join(methods))])
    if not exchange.websocket and router.speaks_websocket(path):
        return _with(refusals[426], [("upgrade", "websocket"), ("connection", "upgrade")])
    return _with(refusals[404], [])


def _with(answer: Answer, fields: list[tuple[str, str]]) -> Answer:
    known = [(name.decode(), value.decode("latin-1")) for name, value in answer.raw_headers]
    return Response(answer.body, answer.status_code, [*known, *fields])
