"""How a request ended: its status, or why it has none. For who observes it from outside."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from megahertz.engine import Answer, Exchange, Failed, Route

Done = Callable[[int | None, BaseException | None, bool], object]
"""`done(status, error, broken)`: broken is an answer that is not whole, or was never sent."""

GONE = 499
"""nginx's status of a request whose client has left."""

_CANCELLED = {"deadline exceeded": 504, "client disconnected": GONE}


async def watched(
    call: Awaitable[Any], exchange: Exchange, route: Route, failed: Failed, done: Done
) -> Any:
    """Awaits an endpoint's value, and tells `done` how it ended.

    An error is made the answer that the application gives to it: so its status is known, and what
    it logs is still the request's.
    """
    try:
        value = await call
    except BaseException as error:
        return ended(error, exchange, failed, done)
    done(status_of(exchange, value, route), None, False)
    return value


def ended(error: BaseException, exchange: Exchange, failed: Failed, done: Done) -> Answer:
    """The answer to what ended a request; raises where there is none."""
    if isinstance(error, Exception):
        return refused(error, exchange, failed, done)
    status = exchange.status
    if isinstance(error, asyncio.CancelledError):
        status = status or _CANCELLED.get(str(error))
    done(status, error, True)
    raise error


def begun(
    call: Callable[[], Any], exchange: Exchange, route: Route, failed: Failed, done: Done
) -> Any:
    """Calls an endpoint, which may be no coroutine function, and watches it."""
    try:
        value = call()
    except Exception as error:
        return refused(error, exchange, failed, done)
    if inspect.isawaitable(value):
        return watched(value, exchange, route, failed, done)
    done(status_of(exchange, value, route), None, False)
    return value


def refused(error: Exception, exchange: Exchange, failed: Failed, done: Done) -> Answer:
    """The answer to an error, where there may still be one."""
    if exchange.started or exchange.closed:
        done(exchange.status, error, True)
        raise error
    answer = failed(exchange, error)
    done(answer.status_code, error, False)
    return answer


def status_of(exchange: Exchange, value: Any, route: Route) -> int:
    """Of the answer that the engine makes of `value`, unless one has begun."""
    status = exchange.status
    if status is not None:
        return status
    if isinstance(value, Answer):
        return value.status_code
    return 204 if value is None else route.status
