"""Who is told of every version, in order, at its own pace."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger("megahertz")

BEHIND: Final = 1024
"""Versions that a subscriber may be behind; then the next one waits for it. etcd's own client keeps
without a bound what a watcher has not taken; Kubernetes' watch cache drops one that is 100 behind,
which then reads afresh."""


class Subscriber(Generic[T]):
    """A function with the versions that it has not been told yet.

    Args:
        function: plain or async; it is told one at a time, and never the same twice.
        patience: seconds that it may take; then it is cancelled and told the next.
    """

    def __init__(
        self, function: Callable[[T], Awaitable[object] | object], patience: float
    ) -> None:
        self.name = getattr(function, "__qualname__", repr(function))
        self._function, self._patience = function, patience
        self._waiting: asyncio.Queue[T] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self._task: asyncio.Task[None] | None = None
        self.told = self.failures = 0

    @property
    def behind(self) -> int:
        """Versions that wait."""
        return self._waiting.qsize()

    def open(self, current: T) -> None:
        """Begins with the version of now."""
        self._waiting = asyncio.Queue()
        self._room.set()
        self.tell(current)
        self._task = asyncio.create_task(self._run(), name=f"settings to {self.name}")

    async def close(self) -> None:
        """What waits is not told any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def tell(self, version: T) -> None:
        """Behind those that wait; `room` was waited for."""
        self._waiting.put_nowait(version)
        if self.behind >= BEHIND:
            self._room.clear()

    async def room(self) -> None:
        """Waits until it may be told."""
        await self._room.wait()

    async def settled(self) -> None:
        """Waits until it was told everything."""
        await self._waiting.join()

    async def _run(self) -> None:
        while True:
            version = await self._waiting.get()
            self._room.set()
            try:
                async with asyncio.timeout(self._patience):
                    said: Any = self._function(version)
                    if inspect.isawaitable(said):
                        await said
            except TimeoutError:
                self._failed("took more than %g s over", self._patience, version)
            except Exception as error:
                self._failed("failed (%r) at", error, version, trace=error)
            finally:
                self.told += 1
                self._waiting.task_done()

    def _failed(
        self, what: str, detail: object, version: T, trace: BaseException | None = None
    ) -> None:
        self.failures += 1
        log.error("settings: %s " + what + " %s", self.name, detail, version, exc_info=trace)
