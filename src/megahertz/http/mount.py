"""An ASGI application below a path of ours.

Theory: to what stands in front of it, its answer is one that is made when it is delivered. So rate
limits, layers and dependencies are in front of a mounted application as they are in front of a
handler: they may refuse, and what they add to the header fields is added to its own.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Self
from urllib.parse import quote

from megahertz.engine import Answer, Exchange
from megahertz.http.asgi import Asgi, AsgiHost
from megahertz.http.request import Request
from megahertz.http.response import RedirectResponse, Response
from megahertz.http.stream import Deferred
from megahertz.http.threads import Threads
from megahertz.http.websocket import WebSocket

REST = "rest"
"""The parameter of a mount's pattern that takes what is left."""


class Mounted(Deferred):
    """The answer of a mounted application, which alone knows its status and its body."""

    __slots__ = ("_serve",)
    _serve: Callable[[Exchange, list[tuple[bytes, bytes]]], Awaitable[None]]

    def __new__(cls, serve: Callable[[Exchange, Any], Awaitable[None]]) -> Self:
        self = super().__new__(cls)
        self._serve = serve
        return self

    async def deliver(self, exchange: Exchange, threads: Threads) -> Answer | None:
        """Runs the application."""
        await self._serve(exchange, self.raw_headers)
        return None


class Mount:
    """Serves `app` on a pattern that ends in `{rest:path}`; a resource of the application."""

    def __init__(self, app: Asgi) -> None:
        self._app = app
        self._host = AsgiHost(app)
        self.__name__ = getattr(app, "__name__", type(app).__name__)

    async def __aenter__(self) -> Self:
        await self._host.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> bool | None:
        return await self._host.__aexit__(*exc)

    async def __call__(self, request: Request) -> Response:
        """Answers a request."""
        root = _root(request)
        if root == request.path and root:  # "/old": what is relative there would go astray
            query = request._exchange.query.decode("latin-1")
            return RedirectResponse(quote(root) + "/" + (f"?{query}" if query else ""))
        return Mounted(lambda exchange, added: self._host.answer(exchange, root, added))

    async def attend(self, websocket: WebSocket) -> None:
        """Attends a WebSocket."""
        cycle = await self._host.attend(websocket._exchange, _root(websocket))
        denial = cycle.conclude()
        if denial is not None:
            await websocket.deny(denial)
        elif cycle.socket is not None:
            websocket.adopt(cycle.socket)


def _root(request: Request | WebSocket) -> str:
    """The beginning of the path, up to where the application is mounted."""
    path, rest = request.path, request.path_params.get(REST, "")
    return (path.removesuffix(rest) if rest else path).rstrip("/")
