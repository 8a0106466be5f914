"""Any ASGI 3 application as a service of the engine.

The application's coroutine is the handler; `asgi_request` and `asgi_socket` pass its messages on.
An application that ends without an answer, or raises before it began one, is a 500.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from megahertz.engine import ANY, WEBSOCKET, Answer, Endpoint, Exchange, Gate, Route, asgi_scope
from megahertz.errors import DeadlineExceeded, Refused
from megahertz.govern import Policy
from megahertz.http.asgi_request import EXTENSIONS, Message, RequestCycle
from megahertz.http.asgi_socket import SOCKET_EXTENSIONS, SocketCycle, subprotocols
from megahertz.http.encode import encode
from megahertz.http.gates import Gates
from megahertz.http.guest import GuestExchange
from megahertz.http.lifespan import AsgiLifespan
from megahertz.http.pattern import parse
from megahertz.http.problems import problem, refusals

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Any, Receive, Send], Awaitable[None]]

log = logging.getLogger("megahertz")

_VERSIONS = {"version": "3.0", "spec_version": "2.3"}
_SOCKET_VERSIONS = {"version": "3.0", "spec_version": "2.4"}
"""Those of uvicorn, whose rules the two cycles keep."""


class AsgiHost:
    """Serves an ASGI application: FastAPI, Starlette, Litestar, Django.

    Args:
        app: `async app(scope, receive, send)`.
        root_path: where a proxy in front of us has mounted it, and took it off the path;
            `scope["path"]` has it again.
        lifespan: "on": an application that does not know the protocol is not started; "off": it
            is not asked; "auto": it may know it.
        policy: the rules in front of it; or several by pattern (`/orders/{id}`), where "*" is for
            what no pattern matches, and what the others leave open.
    """

    def __init__(
        self,
        app: Asgi,
        *,
        root_path: str = "",
        lifespan: Literal["auto", "on", "off"] = "auto",
        policy: Policy | Mapping[str, Policy] | None = None,
    ) -> None:
        self._app = app
        self._policies = policy if isinstance(policy, Mapping) else {"*": policy or Policy()}
        self.gates = Gates(problem)
        self._root = root_path = root_path.rstrip("/")
        self._lifespan = AsgiLifespan(app, use=lifespan)
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
            "extensions": EXTENSIONS,
        }

    @property
    def routes(self) -> Sequence[Route]:
        """One for each pattern with rules of its own; the application routes."""
        default = self._policies.get("*", Policy())
        made = []
        for path, policy in self._policies.items():
            if path == "*":
                continue
            pattern, rules = parse(path), policy.over(default)
            gate = self.gates.of(path, rules, params=pattern.names)
            methods = (ANY, WEBSOCKET)
            made.append(
                Route(
                    methods=methods,
                    pattern=pattern.text,
                    endpoint=self._serve,
                    streams=True,
                    gate=gate,
                    path=path,
                )
            )
        return made

    @property
    def fallback(self) -> Endpoint:
        """Answers everything."""
        return self._serve

    @property
    def gate(self) -> Gate | None:
        """The rules in front of the application."""
        return self.gates.of("*", self._policies.get("*", Policy()))

    @property
    def refusals(self) -> Mapping[int, Answer]:
        """The engine's own answers, as problem documents."""
        return refusals()

    def encode(self, value: object) -> bytes:
        """JSON; never asked by an ASGI application."""
        return encode(value)

    @property
    def state(self) -> dict[str, Any] | None:
        """What the application's lifespan has put into `scope["state"]`; None without one."""
        return self._lifespan.state

    @property
    def lifespan_error(self) -> Exception | None:
        """What the application's lifespan has raised."""
        return self._lifespan.error

    def failed(self, exchange: Exchange, error: BaseException) -> Answer:
        """500, in uvicorn's words, and the traceback in the log.

        Nothing that leaves an application is meant for its client: frameworks answer that. What
        our own rules say is.
        """
        if isinstance(error, Refused | DeadlineExceeded):
            return problem(error)
        log.error("%s %s failed: %s", exchange.method, exchange.path, error, exc_info=error)
        return Answer("Internal Server Error", 500, None, "text/plain")

    async def __aenter__(self) -> "AsgiHost":
        await self._lifespan.start()
        return self

    async def __aexit__(self, *exc: object) -> bool | None:
        await self._lifespan.stop()
        return None

    async def _serve(self, exchange: Exchange) -> Answer | None:
        if exchange.websocket:
            return (await self.attend(exchange)).conclude()
        await self.answer(exchange)
        return None

    async def answer(
        self, exchange: Exchange, root: str | None = None, added: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """One request.

        Args:
            exchange: of the request.
            root: the beginning of its path where the application is mounted; None: where its
                host says.
            added: header fields, beside the application's own.
        """
        cycle = RequestCycle(exchange, added)
        try:
            await self._app(self._scope(exchange, root), cycle.receive, cycle.send)
        finally:
            if not cycle.left:
                cycle.leave()
        if not cycle.complete:
            cycle.check()

    async def attend(self, exchange: Exchange, root: str | None = None) -> SocketCycle:
        """One WebSocket, to its end; `root` as of `answer`."""
        cycle = SocketCycle(exchange)
        scope = self._scope(exchange, root)
        scope.pop("method", None)
        scope["type"] = "websocket"
        scope["scheme"] = "wss" if exchange.secure else "ws"
        scope["subprotocols"] = subprotocols(scope["headers"])
        scope["asgi"] = _SOCKET_VERSIONS
        scope["extensions"] = dict(SOCKET_EXTENSIONS)
        await self._app(scope, cycle.receive, cycle.send)
        return cycle

    def _scope(self, exchange: Exchange, root: str | None) -> dict[str, Any]:
        if isinstance(exchange, GuestExchange):
            scope = exchange.lend(self._template["extensions"])
        else:
            scope = asgi_scope(exchange, self._template)
        if root is not None:
            scope["root_path"] = root
        elif self._root:
            scope["path"] = self._root + scope["path"]
            scope["raw_path"] = self._root.encode() + scope["raw_path"]
        if self._lifespan.state is not None:
            scope["state"] = self._lifespan.state.copy()
        return scope
