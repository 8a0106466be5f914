"""Starlette's test client over the engine: httpx's interface, production's code.

client = TestClient(app)
assert client.get("/items", params={"q": "a"}).json() == []

with TestClient(app) as client, client.websocket_connect("/chat") as chat:
    chat.send_json({"say": "hello"})
"""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from megahertz.engine import Server
from megahertz.errors import Misused
from megahertz.http import AsgiHost, service_of
from megahertz.settings import Limits
from megahertz.testing.host import GRACE, PATIENCE, Host
from megahertz.testing.transport import AsyncTransport, Known, Transport, httpx
from megahertz.testing.watched import Watched
from megahertz.testing.websocket import WebSocketSession

AGENT = {"user-agent": "testclient"}


def mounted(app: Any, root_path: str) -> Any:
    """An ASGI application below a path that requests name, as with Starlette's test client."""
    if not root_path:
        return app

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await app(scope | {"root_path": root_path}, receive, send)

    return application


class TestClient(httpx.Client):
    """Asks `app` in process: no port, no network, and every byte goes through the engine.

    Entered, it serves on one loop, within the lifespan and the resources of the application.
    Otherwise there is no lifespan, and a loop lives for one request, as with Starlette's, or as
    long as others are under way beside it.
    A request ends when its handler has, background tasks included.

    Args:
        app: an `App`, or any ASGI application.
        base_url: what requests are relative to; https: they count as having come by TLS.
        raise_server_exceptions: an error that nobody foresaw is raised in the test, not a 500.
        root_path: of an ASGI application: where it is mounted; requests name the whole path.
        cookies: sent with each request, as are those that answers set.
        headers: sent with each request.
        follow_redirects: as a browser does.
        client: the address that requests come from.
        limits: of the server.
        port: a port of 127.0.0.1 to serve on while it is entered, 0 is any; then `base_url` is
            that, and the test sees no more than any client: no error of the server's is raised.
        timeout: seconds of silence after which a test fails; the error says where the handler is.
    """

    __test__ = False

    def __init__(
        self,
        app: Any,
        base_url: str = "http://testserver",
        *,
        raise_server_exceptions: bool = True,
        root_path: str = "",
        cookies: Any = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = ("testclient", 50_000),
        limits: Limits | None = None,
        port: int | None = None,
        timeout: float = PATIENCE,
    ) -> None:
        self.app = app
        # Entered, an application that fails in its lifespan is an error, as with Starlette's.
        self._service = service_of(mounted(app, root_path), lifespan="on")
        self._limits = limits
        self._port = port
        self._host: Host | None = None
        self._brief: Host | None = None
        self._users = 0
        self._lock = threading.Lock()
        self._known = Known(client, raise_server_exceptions)
        super().__init__(
            base_url=base_url,
            headers={**AGENT, **(headers or {})},
            cookies=cookies,
            follow_redirects=follow_redirects,
            timeout=timeout,
            transport=Transport(self._enter, self._known),
        )

    def __enter__(self) -> Self:
        sockets = [] if self._port is None else [socket.create_server(("127.0.0.1", self._port))]
        if sockets:
            self.base_url = httpx.URL(f"http://127.0.0.1:{sockets[0].getsockname()[1]}")
        host = Host(self._service, sockets, limits=self._limits)
        try:
            self._host = host.__enter__()
        except Misused as error:
            raise error.__cause__ or error from None
        return self

    def __exit__(self, *exc: Any) -> None:
        self._transport.close()
        host, self._host = self._host, None
        if host is not None:
            host.__exit__(*exc)
        if isinstance(self._service, AsgiHost) and self._service.lifespan_error is not None:
            raise self._service.lifespan_error

    def _enter(self) -> tuple[Host, Callable[[], None]]:
        """The host in use, or one that lives as long as it has requests and sockets."""
        if self._host is not None:
            return self._host, lambda: None
        if self._port is not None:
            raise Misused("a TestClient with a port serves while it is entered: with TestClient()")
        with self._lock:
            if self._brief is None:
                self._brief = Host(self._service, limits=self._limits, enters=False).__enter__()
            self._users += 1
            return self._brief, self._leave

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._brief is not None:
                brief, self._brief = self._brief, None
                brief.__exit__(None, None, None)

    @property
    def app_state(self) -> dict[str, Any]:
        """Of an ASGI application: what its lifespan has put into the state."""
        return (isinstance(self._service, AsgiHost) and self._service.state) or {}

    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **options: Any
    ) -> WebSocketSession:
        """A WebSocket to `url`; leaving it raises what its handler raised.

        Args:
            url: relative to `base_url`, or ws: and wss:.
            subprotocols: offered in that order.
            options: as of `get`: headers, params, cookies, and a name and a password as `auth`.

        Raises:
            WebSocketDenied: the application answered otherwise.
        """
        auth = options.pop("auth", None)
        request = self.build_request("GET", url, **options)
        if auth is not None:
            request = next(httpx.BasicAuth(*auth).auth_flow(request))
        host, leave = self._enter()
        try:
            sock, number = host.reach(self._known.of(request.url))
        except BaseException:
            leave()
            raise

        def leave_session() -> None:
            try:
                if number is not None:
                    host.cancel(number)
                    host.end(number, PATIENCE, raises=self._known.raises)
            finally:
                leave()

        path = request.url.raw_path.decode("ascii")
        try:
            return WebSocketSession(
                sock,
                path,
                headers=request.headers.multi_items(),
                subprotocols=subprotocols or (),
                leave=leave_session,
            )
        except BaseException:
            leave_session()
            raise


class AsyncTestClient(httpx.AsyncClient):
    """The same for `async` tests: the application runs on the loop of the test.

    It serves while it is entered, within the lifespan; WebSockets are `TestClient`'s.
    """

    __test__ = False

    def __init__(
        self,
        app: Any,
        base_url: str = "http://testserver",
        *,
        raise_server_exceptions: bool = True,
        root_path: str = "",
        cookies: Any = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = ("testclient", 50_000),
        limits: Limits | None = None,
        timeout: float = PATIENCE,
    ) -> None:
        self.app = app
        self._watched = Watched(service_of(mounted(app, root_path), lifespan="on"))
        self._server = Server(self._watched, [], limits=limits)
        known = Known(client, raise_server_exceptions)
        super().__init__(
            base_url=base_url,
            headers={**AGENT, **(headers or {})},
            cookies=cookies,
            follow_redirects=follow_redirects,
            timeout=timeout,
            transport=AsyncTransport(self._server, self._watched, known),
        )

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self._server.stop(GRACE, spread=0.0)
