"""The shapes that everything composes by.

A route, a limit, a trace, a gateway and an RPC method are all `Handler`s, and whatever stands in
front of one is a `Layer`.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

Handler = Callable[[Any], Awaitable[Any]]
"""`async def handler(request) -> response`."""

Layer = Callable[[Handler], Handler] | Callable[[Any], AsyncGenerator[Any, Any]]
"""One of two. Either takes the next handler, and gives one that does something before, after or
instead of it. Or is `async def layer(request)` with one `answer = yield`: what comes before runs
before the handler, what comes after once the answer is sent, exactly once, whatever ends the
request. One that is an async context manager too is entered with the application."""


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


@runtime_checkable
class Retiring(Protocol):
    """A resource that has to tell others that the application is going, while it still serves."""

    async def retire(self) -> None:
        """Called when a stop begins, before anything is refused; then it is closed all the same."""
        ...
