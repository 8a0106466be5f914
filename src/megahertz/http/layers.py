"""What stands in front of a handler: layers around it, and the ends of those that have one.

Theory: a layer is either a function from handler to handler, which can do anything to the answer
before it is sent, or an async generator, whose second half runs once the answer is sent. Both see
an error that somebody foresaw as the answer that it is, whoever raised it, so that what an outer
layer adds (CORS, a request's number) is on refusals too.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from megahertz.engine import Answer, Exchange, Observer
from megahertz.errors import BadRoute
from megahertz.http.background import Background, BackgroundTasks
from megahertz.http.ends import Ends
from megahertz.http.guest import GuestExchange
from megahertz.http.response import answer_of, copied
from megahertz.http.stream import Deferred
from megahertz.http.threads import Threads
from megahertz.types import Layer

Call = Callable[[Any], Awaitable[Any]]
Settle = Callable[[Any, Exception], Awaitable[Answer | None]]


def lasts(layer: Layer) -> bool:
    """Whether it is a generator, which ends after the answer is sent."""
    return inspect.isasyncgenfunction(layer) or inspect.isasyncgenfunction(
        getattr(layer, "__call__", None)  # noqa: B004
    )


def check(layer: Any) -> None:
    """Refuses what is no layer, where it is written down.

    Raises:
        BadRoute: it is not callable, or would be taken for a layer by mistake.
    """
    if isinstance(layer, Observer) and not isinstance(layer, type):
        return
    name = getattr(layer, "__qualname__", repr(layer))
    if isinstance(layer, type) or not callable(layer):
        raise BadRoute(f"layer {name}: takes a function of the next handler, or an async generator")
    if inspect.iscoroutinefunction(layer) or inspect.isgeneratorfunction(layer):
        raise BadRoute(f"layer {name}: write `async def {name}(request)` with one yield in it")


def layered(handler: Call, layers: Sequence[Layer], status: int, settle: Settle) -> Call:
    """`handler` behind `layers`, the outermost first; what it gives is an answer."""
    chain = _settled(_own(handler), status, settle)
    for number, layer in reversed(list(enumerate(layers))):
        outer = _in_front(layer, chain)
        # Nobody but the engine hears of what the outermost raises, and it knows what to answer.
        chain = _settled(outer, status, settle) if number else outer
    return chain


def begun(handler: Call, layers: Sequence[Layer]) -> Call:
    """The same of a WebSocket's handler, whose errors close it."""
    for layer in reversed(layers):
        handler = _in_front(layer, handler)
    return handler


def _in_front(layer: Any, inner: Call) -> Call:
    if not lasts(layer):
        return layer(inner)  # type: ignore[no-any-return]

    async def link(request: Any) -> Any:
        await request._ends.begin(layer(request))
        return await inner(request)

    return link


def _own(handler: Call) -> Call:
    """With answers that a layer may change."""

    async def call(request: Any) -> Any:
        value = await handler(request)
        if isinstance(value, Answer) and not isinstance(value, Deferred):
            return copied(value)
        return value

    return call


def _settled(call: Call, status: int, settle: Settle) -> Call:
    async def handler(request: Any) -> Any:
        try:
            value = await call(request)
        except Exception as error:
            answer = await settle(request, error)
            if answer is None:
                raise
            return answer
        return answer_of(value, status)

    return handler


async def deliver(exchange: Exchange, value: Any, status: int, threads: Threads) -> Any:
    """Sends the answer while the handler's task goes on; what was sent."""
    sent = value
    if isinstance(value, Deferred):
        value = await value.deliver(exchange, threads)
    if not exchange.started:
        sent = answer_of(value, status)
        exchange.answer(sent)
    if isinstance(exchange, GuestExchange):
        await exchange.flushed()
    return sent


def lasting(
    call: Call,
    make: Callable[[Exchange], Any],
    status: int,
    threads: Threads,
    background: Background | None,
) -> Callable[[Exchange], Awaitable[None]]:
    """The endpoint of a route on which something runs or ends after the answer is sent."""

    async def endpoint(exchange: Exchange) -> None:
        request = make(exchange)
        async with Ends() as ends:
            request._ends = ends
            ends.answer = await deliver(exchange, await call(request), status, threads)

    if background is None:
        return endpoint

    async def working(exchange: Exchange) -> None:
        request = make(exchange)
        async with Ends() as ends:
            request._ends, request._background = ends, (tasks := BackgroundTasks())
            value = await call(request)
            background.admit(tasks)
            try:
                ends.answer = await deliver(exchange, value, status, threads)
                await background.run(tasks)
            finally:
                background.release(tasks)

    return working
