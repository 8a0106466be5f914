"""The shapes that everything composes by.

A route, a limit, a trace, a gateway and an RPC method are all `Handler`s, and whatever stands in
front of one is a `Layer`: a function from handler to handler.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

Handler = Callable[[Any], Awaitable[Any]]
"""`async def handler(request) -> response`."""

Layer = Callable[[Handler], Handler]
"""Takes the next handler, gives one that does something before, after or instead of it."""


class Broker(Protocol):
    """Carries messages between machines: what one publishes on a channel, all subscribers get."""

    async def publish(self, channel: str, message: bytes) -> None:
        """Returns once it is on its way; BackendError where it is not."""
        ...

    def subscribe(
        self, channel: str, receive: Callable[[bytes], None]
    ) -> AbstractAsyncContextManager[Any]:
        """Calls `receive` with every message while it is entered, connecting again if need be."""
        ...


@runtime_checkable
class Resource(Protocol):
    """What an application opens before it serves and closes after: any async context manager."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *exc: object) -> bool | None: ...
