"""A client for tests: the application behind a real socket, in a loop of its own.

    with Client(app) as client:
        assert client.get("/").json() == {"msg": "ok"}

It needs nothing installed, and lets a test send bytes of its own. `TestClient` does more.
"""

import http.client
import json as jsonlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from megahertz.http import service_of
from megahertz.settings import Limits
from megahertz.testing.host import PATIENCE, Host
from megahertz.testing.websocket import WebSocketSession


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


class Client(Host):
    """Serves `app` while it is entered, and asks it.

    Args:
        app: an `App`, or any ASGI application.
        limits: of the server.
    """

    def __init__(self, app: Any, *, limits: Limits | None = None) -> None:
        service = service_of(app)
        sock = socket.create_server(("127.0.0.1", 0))
        super().__init__(service, [sock], limits=limits)
        self.port: int = sock.getsockname()[1]

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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
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
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)
