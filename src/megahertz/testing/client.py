"""A client for tests: the application behind a real socket, in a loop of its own.

    with Client(app) as client:
        assert client.get("/").json() == {"msg": "ok"}

The server runs in a thread, so that the test may be a plain function. Bytes go through the real
engine: what passes here was parsed, routed and framed as in production.
"""

import asyncio
import http.client
import json as jsonlib
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

from megahertz.engine import Server, ServerStatistics
from megahertz.http import service_of
from megahertz.settings import Limits
from megahertz.testing.websocket import WebSocketSession

_PATIENCE = 30.0
"""Seconds before a silent server fails the test (httpx's default is 5; CI machines are slow)."""

_GRACE = 1.0
"""Seconds for handlers that a test left running; then they are cancelled."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, by Starlette's names; header names are in lower case, the last one wins."""

    status_code: int
    headers: Mapping[str, str]
    raw_headers: list[tuple[str, str]]
    content: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.content.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return jsonlib.loads(self.content)


class Client:
    """Serves `app` while it is entered, and asks it.

    Args:
        app: an `App`, or any ASGI application.
        limits: of the server.
    """

    def __init__(self, app: Any, *, limits: Limits | None = None) -> None:
        self._service = service_of(app)
        self._limits = limits
        self._thread = threading.Thread(target=self._run, name="megahertz-client", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_PATIENCE):
            raise TimeoutError(f"the application did not start within {_PATIENCE:g} s")
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self._thread.join(_PATIENCE)
        if self._failure is not None:
            raise self._failure

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | str | None = None,
        json: Any = None,
    ) -> Reply:
        """One request on a connection of its own."""
        fields = dict(headers or {})
        if json is not None:
            content = jsonlib.dumps(json)
            fields.setdefault("content-type", "application/json")
        if params:
            path = f"{path}?{urlencode(params, doseq=True)}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        try:
            connection.request(method, path, content, fields)
            answer = connection.getresponse()
            raw = [(name.lower(), value) for name, value in answer.getheaders()]
            return Reply(answer.status, dict(raw), raw, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **options: Any) -> Reply:
        """`request` with GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Reply:
        """`request` with POST."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Reply:
        """`request` with PUT."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Reply:
        """`request` with PATCH."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Reply:
        """`request` with DELETE."""
        return self.request("DELETE", path, **options)

    def head(self, path: str, **options: Any) -> Reply:
        """`request` with HEAD."""
        return self.request("HEAD", path, **options)

    def options(self, path: str, **options: Any) -> Reply:
        """`request` with OPTIONS."""
        return self.request("OPTIONS", path, **options)

    def websocket_connect(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
    ) -> WebSocketSession:
        """A WebSocket to `path`; HTTPError where the server answers otherwise."""
        return WebSocketSession(self.connect(), path, headers=headers, subprotocols=subprotocols)

    def connect(self) -> socket.socket:
        """A connection to the server, for bytes of your own."""
        return socket.create_connection(("127.0.0.1", self.port), _PATIENCE)

    def stop(self) -> None:
        """Asks the server to stop, as SIGTERM does, and does not wait; again it does nothing."""
        with suppress(RuntimeError):  # the loop is closed: it has stopped
            self._loop.call_soon_threadsafe(self._stop.set)

    def statistics(self) -> ServerStatistics:
        """The server's, at this moment."""

        async def read() -> ServerStatistics:  # on the loop's thread, which owns the engine
            return self._server.statistics()

        return asyncio.run_coroutine_threadsafe(read(), self._loop).result(_PATIENCE)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._socket.close()
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._server = Server(self._service, [self._socket], limits=self._limits)
        async with self._server:
            self._ready.set()
            await self._stop.wait()
            await self._server.stop(_GRACE)
