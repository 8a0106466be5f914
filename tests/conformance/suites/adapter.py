"""A pytest plug-in for the suites of others: our test client stands where Starlette's was.

It is loaded before their modules are (`-p adapter`), and has to be a module of its own: their
package of tests is called `tests`, as ours is. What is not meaningful here is listed beside it.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import starlette.testclient
from listed import mark
from starlette.websockets import WebSocketDisconnect as StarletteDisconnect

# What we need and what Starlette needs is called the same: ours is out of sight again below.
OURS = str(Path(sys.prefix) / "ours")
sys.path.insert(0, OURS)

from megahertz.errors import WebSocketDisconnect  # noqa: E402
from megahertz.http import form_body as form_body  # noqa: E402 - imports `multipart`
from megahertz.settings import Limits  # noqa: E402
from megahertz.testing import TestClient, WebSocketDenied, WebSocketSession  # noqa: E402

sys.path.remove(OURS)
del sys.modules["multipart"]

LIMITS = Limits(body_bytes=64 << 20, message_bytes=64 << 20)
"""Suites send bodies that `mhz run` takes only with `--limit`."""


class Session:
    """Starlette's interface of a session over ours: it connects when it is entered."""

    def __init__(self, connect: Any) -> None:
        self._connect = connect

    def __enter__(self) -> "Session":
        try:
            self._session: WebSocketSession = self._connect()
        except WebSocketDenied as denied:
            raise self._denial(denied) from denied
        self.accepted_subprotocol = self._session.accepted_subprotocol
        own = ("upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol", "date")
        self.extra_headers = [
            (name.encode(), value.encode())
            for name, value in self._session.headers.items()
            if name not in own
        ]
        return self

    @staticmethod
    def _denial(denied: WebSocketDenied) -> Exception:
        if (denied.status_code, denied.detail) == (403, ""):
            return StarletteDisconnect(1000)  # the host's own: the application has closed
        return starlette.testclient.WebSocketDenialResponse(
            status_code=denied.status_code, headers=denied.headers, content=denied.detail
        )

    def __exit__(self, *exc: Any) -> None:
        self._session.__exit__(*exc)

    def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "websocket.disconnect":
            self.close(message.get("code", 1000))
        elif message.get("text") is not None:
            self._session.send_text(message["text"])
        else:
            self._session.send_bytes(message["bytes"])

    def receive(self) -> dict[str, Any]:
        try:
            message = self._session.receive()
        except WebSocketDisconnect as gone:
            return {"type": "websocket.close", "code": gone.code, "reason": gone.reason}
        kind = "text" if isinstance(message, str) else "bytes"
        return {"type": "websocket.send", kind: message}

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        self._session.close(code, reason or "")

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._session, name)

        def translated(*args: Any, **options: Any) -> Any:
            try:
                return call(*args, **options)
            except WebSocketDisconnect as gone:
                raise StarletteDisconnect(gone.code, gone.reason) from gone

        return translated


class Adapted(TestClient):
    """Takes what Starlette's takes; the loop is asyncio's."""

    __test__ = False
    extra: Mapping[str, str] = {}

    def __init__(
        self,
        app: Any,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        backend: str = "asyncio",
        backend_options: Any = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            app,
            base_url,
            raise_server_exceptions=raise_server_exceptions,
            root_path=root_path,
            limits=LIMITS,
            headers={**self.extra, **(headers or {})},
            **options,
        )

    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **options: Any
    ) -> Any:
        return Session(lambda: super(Adapted, self).websocket_connect(url, subprotocols, **options))


starlette.testclient.TestClient = Adapted

LISTED = Path(__file__).with_name(f"{os.environ['MEGAHERTZ_SUITE']}.txt")

OTHER_LOOPS = ("trio",)
"""Parameters of tests that are run once a loop: ours is asyncio's."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if _is_of_another_loop(item)]
    items[:] = [item for item in items if item not in set(left_out)]
    config.hook.pytest_deselected(items=left_out)
    mark(items, LISTED)


def _is_of_another_loop(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and any(name in callspec.id for name in OTHER_LOOPS)


@pytest.fixture(autouse=True)
def asks_for_trailers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Only who asks for trailers gets them; Starlette's client always does, without a word."""
    Adapted.extra = {"te": "trailers"} if "trailers" in request.node.name else {}
    yield
    Adapted.extra = {}
