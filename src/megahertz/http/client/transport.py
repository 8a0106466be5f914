"""What a client sends its requests by: the engine's pool, or anything of its shape."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Any, Protocol

from megahertz.engine import Origin, Proxy


class Came(Protocol):
    """An answer; with `stream=True` its body is still on its way."""

    @property
    def status(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def http_version(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def trailers(self) -> list[tuple[str, str]]: ...
    def header(self, name: str) -> str | None: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class Transport(Protocol):
    """Sends; `megahertz.engine.Pool` is one."""

    async def send(
        self,
        origin: Origin,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | AsyncIterable[bytes] | None = None,
        *,
        timeout: float | None = None,
        stream: bool = False,
        via: Proxy | None = None,
        server_name: str | None = None,
    ) -> Came: ...

    async def warm(self, origin: Origin, connections: int = 1) -> None: ...

    async def aclose(self) -> None: ...

    def statistics(self) -> Any: ...
