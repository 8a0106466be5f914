"""The one shape of what stands around a call.

    breaker = Breaker()

    @breaker                                # as a decorator
    async def price(sku: int) -> float: ...

    await breaker.run(price, 7)             # as a call
    async with breaker: ...                 # as a block, where there is one

One object counts together wherever it is used, by any number of calls at once.
"""

import asyncio
import functools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, ParamSpec, TypeVar

from megahertz.govern.fallback import Fallback, fallback_of, is_trouble

P = ParamSpec("P")
R = TypeVar("R")


class Guard(ABC):
    """A decorator, and `run`."""

    def __init__(self, fallback: Any = None) -> None:
        self._fallback: Fallback | None = fallback_of(fallback)

    def __call__(self, call: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """`call`, guarded; for use as a decorator."""

        @functools.wraps(call)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self.run(call, *args, **kwargs)

        return guarded

    async def run(self, call: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """What `call` gives for the arguments; what the fallback gives where that is in trouble."""
        fallback = self._fallback
        if fallback is None:
            return await self._run(call, *args, **kwargs)
        try:
            value = await self._run(call, *args, **kwargs)
        except fallback.on as error:
            if not is_trouble(error, fallback.on):
                raise
            instead: R = await fallback.instead(error, args, kwargs)
            return instead
        fallback.keep(value, args, kwargs)
        return value

    @abstractmethod
    async def _run(
        self, call: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...


class Block(Guard):
    """A guard that is a block too: `async with guard:`; there a fallback has nothing to answer."""

    def __init__(self, fallback: Any = None) -> None:
        super().__init__(fallback)
        # What one call's block knows cannot lie here: many tasks are inside at once.
        self._inside: dict[Any, list[AbstractAsyncContextManager[None]]] = {}

    @abstractmethod
    def _block(self) -> AbstractAsyncContextManager[None]:
        """One call's."""

    async def _run(
        self, call: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        async with self._block():
            return await call(*args, **kwargs)
        raise AssertionError("a block of ours swallows no error")

    async def __aenter__(self) -> None:
        block = self._block()
        await block.__aenter__()
        self._inside.setdefault(asyncio.current_task(), []).append(block)

    async def __aexit__(self, *exc: Any) -> None:
        task = asyncio.current_task()
        if task not in self._inside:
            task = next(iter(self._inside))  # a generator, closed by another task than began it
        blocks = self._inside[task]
        block = blocks.pop()
        if not blocks:
            del self._inside[task]
        await block.__aexit__(*exc)
