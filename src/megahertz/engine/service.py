"""What the engine serves: routes and a few answers, as an application hands them in."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from megahertz.engine.native import (
    Answer,
    Exchange,
    Gate,
    Loudness,
    Quiet,
    TraceContext,
    TraceSource,
)

Endpoint = Callable[..., Awaitable[Any] | Any]
"""`endpoint(exchange)`, or `endpoint()` where the route is bare; gives a coroutine or a value.

One may have an attribute `decoded = (decode, handler)`: where `decode(exchange.body)` raises
nothing, `handler` of that is called in the endpoint's place, without an exchange, which costs less.
"""


Failed = Callable[[Exchange, BaseException], Answer]
"""The answer to a request whose handler raised: `Service.failed`."""

WEBSOCKET = "(websocket)"
"""The method of routes that answer WebSockets: no token, so no client can send it as its own."""

ANY = "(any)"
"""The method of routes that answer whatever has no route of its own method; no WebSockets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One pattern and what answers it.

    The endpoint is called on the loop's thread. A coroutine it gives is stepped in place, as a
    task of its own. The value it ends with is the answer: an `Answer`, bytes
    (application/octet-stream), str (text/plain), None (204), or anything else, which
    `Service.encode` turns into JSON.

    Attributes:
        methods: upper case; GET answers HEAD as well. `WEBSOCKET` answers opening handshakes.
        pattern: `/orders/{id}`; `{*rest}` at the end takes what is left, slashes included.
        endpoint: see above.
        bare: the endpoint takes no argument.
        status: of answers that are not an `Answer` and not None.
        deadline: seconds from the parsed request to the answer; then the handler is cancelled
            and `Service.failed` gets a `DeadlineExceeded`.
        streams: a body that has not come with its head is left to the endpoint
            (`Exchange.read`); otherwise the endpoint is called when it is whole.
        body_bytes: the most that a body may have, in place of `Limits.body_bytes`.
        path: the pattern as it is written down, for people and observers.
        instead: the endpoint while the gate's breaker is open; never bare.
        gate: the rules that a request passes before its endpoint is called.
        handler: the user's own function behind the endpoint, for who looks at stacks.
        quiet: the same without those who observe it, for requests of which they keep nothing.
    """

    methods: tuple[str, ...]
    pattern: str
    endpoint: Endpoint
    bare: bool = False
    status: int = 200
    deadline: float | None = None
    streams: bool = False
    body_bytes: int | None = None
    path: str = ""
    instead: Endpoint | None = None
    gate: Gate | None = None
    handler: Callable[..., Any] | None = None
    quiet: Quiet | None = None

    @property
    def label(self) -> str:
        """`GET /items/{sku}`, as `mhz routes` has it."""
        return f"{','.join(self.methods)} {self.path or self.pattern}"


@runtime_checkable
class Observer(Protocol):
    """Sees every request that has passed its route's gate, until its answer: a trace, a log."""

    def observe(self, route: Route, failed: Failed) -> Endpoint:
        """The endpoint around the route's, which may be bare; it is given the exchange always.

        Args:
            route: as it is without this observer.
            failed: of the service; for who wants to know what an error is answered by.
        """
        ...


@dataclass(frozen=True, slots=True)
class Unheard:
    """By what the engine tells the requests of which an observer keeps nothing.

    Attributes:
        source: draws the ids; what it samples is observed.
        decides: whether other observers leave that to this one.
        loudness: the share of which good answers are kept; None: of none.
        ended: is told `(exchange, found, status, seconds)` of a request of which nothing was to be
            kept, and that was answered with 400 or above.
    """

    source: TraceSource
    decides: bool = False
    loudness: Loudness | None = None
    ended: Callable[[Exchange, TraceContext, int, float], object] | None = None


@runtime_checkable
class Reserved(Protocol):
    """An observer that keeps nothing of most requests, and knows beforehand of which."""

    def observe(self, route: Route, failed: Failed) -> Endpoint:
        """As `Observer.observe`; called for the others alone."""
        ...

    def unheard(self, route: Route) -> Unheard:
        """How to tell them."""
        ...


class Service(Protocol):
    """An application to the engine; entered before the first request, left after the last.

    One with a fallback may have a `gate`, the rules in front of it. One may have a `plane` that the
    engine counts in where the process has none of its own, and a coroutine function `retire`, which
    is awaited when a stop begins, before anything is refused.
    """

    @property
    def routes(self) -> Sequence[Route]:
        """Every route; a pattern may appear once for each method."""
        ...

    @property
    def fallback(self) -> Endpoint | None:
        """Answers what no pattern matches (a mounted ASGI application); None: 404."""
        ...

    @property
    def refusals(self) -> Mapping[int, Answer]:
        """The engine's own answers by status: 400 404 405 408 413 414 426 431 500
        501 503 505."""
        ...

    def encode(self, value: object) -> bytes:
        """JSON of a handler's value."""
        ...

    def failed(self, exchange: Exchange, error: BaseException) -> Answer:
        """The answer to a request whose handler raised, or ran out of time."""
        ...

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *exc: object) -> bool | None: ...
