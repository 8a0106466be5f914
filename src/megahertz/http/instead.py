"""What a route answers while its breaker is open."""

from collections.abc import Awaitable, Callable
from typing import Any

from megahertz.engine import Exchange
from megahertz.errors import BreakerOpen
from megahertz.govern import Fallback, Stale
from megahertz.http.declared import Declared
from megahertz.http.request import Place, Request
from megahertz.http.stream import Deferred

Call = Callable[[Any], Awaitable[Any]]


class Instead:
    """The breaker's fallback, asked with the request.

    A `Stale` without a key of its own takes requests of the same method, path and query as the
    same. Answers that are streamed are not kept.
    """

    def __init__(self, fallback: Fallback, declared: Declared, place: Place) -> None:
        self._fallback = fallback
        self._place = place
        self._where = declared.where
        self._by_target = isinstance(fallback, Stale) and not fallback.has_key

    async def __call__(self, exchange: Exchange) -> Any:
        """The answer in place of the handler's."""
        error = BreakerOpen(f"{self._where} has failed too often", retry_after=1.0)
        return await self._fallback.instead(error, self._arguments(exchange), {})

    def keeping(self, call: Call) -> Call:
        """`call`, whose good answers are kept, if the fallback is one that keeps."""
        if not isinstance(self._fallback, Stale):
            return call

        async def endpoint(exchange: Exchange) -> Any:
            value = await call(exchange)
            if not exchange.started and not isinstance(value, Deferred):
                self._fallback.keep(value, self._arguments(exchange), {})
            return value

        return endpoint

    def _arguments(self, exchange: Exchange) -> tuple[Any, ...]:
        if self._by_target:
            return (exchange.method, exchange.raw_path, exchange.query)
        return (Request(exchange, self._place),)


def instead_of(declared: Declared, place: Place) -> Instead | None:
    """None where the route's breaker has no fallback."""
    breaker = declared.policy.rule("breaker")
    if breaker is None or breaker.fallback is None:
        return None
    return Instead(breaker.fallback, declared, place)
