"""So many calls at once and no more: one slow route does not take the whole ship down."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from megahertz.context import deadline
from megahertz.errors import BadSettings, BulkheadFull
from megahertz.govern.guard import Block


@dataclass(frozen=True, slots=True)
class BulkheadStatistics:
    """Calls that run now, the most allowed, those refused since the start, and those that wait."""

    running: int
    most: int
    refused: int
    waiting: int = 0


class Bulkhead(Block):
    """Counts running calls; above `most` they wait where they may, and raise `BulkheadFull`.

    By itself it never queues: a call that waits holds its memory and its caller (Nygard, Release
    It!). Where a short wait is better than an error, `queue` bounds how many, `wait` how long.

    Args:
        most: calls that run at once.
        queue: calls that may wait for their turn, in order; `with bulkhead:` never waits.
        wait: seconds that one may wait; without it until the caller's deadline.
        fallback: what is answered instead of a refusal.

    Raises:
        BadSettings: a number that cannot be.
    """

    def __init__(
        self, most: int, *, queue: int = 0, wait: float | None = None, fallback: Any = None
    ) -> None:
        if most < 1 or queue < 0 or not (wait is None or wait > 0):
            raise BadSettings(
                f"Bulkhead({most}, {queue=}, {wait=}): most >= 1, queue >= 0, wait > 0"
            )
        super().__init__(fallback)
        self._most, self._queue, self._wait = most, queue, wait
        self._running = 0
        self._refused = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __enter__(self) -> None:
        if self._running >= self._most:
            raise self._refusal(f"{self._most} calls are running already")
        self._running += 1

    def __exit__(self, *exc: object) -> None:
        """The place goes to the call that waits longest, or is free."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._running -= 1

    @asynccontextmanager
    async def _block(self) -> AsyncIterator[None]:
        if self._running >= self._most and self._queue:
            await self._turn()
        else:
            self.__enter__()
        try:
            yield
        finally:
            self.__exit__()

    async def _turn(self) -> None:
        """Returns with a place, or with none and an error."""
        if len(self._waiting) >= self._queue:
            raise self._refusal(f"{self._most} calls are running and {self._queue} wait already")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        bounds = [bound for bound in (self._wait, deadline()) if bound is not None]
        try:
            done, _ = await asyncio.wait([turn], timeout=min(bounds, default=None))
        except asyncio.CancelledError:
            if turn.done():  # the place came together with the cancellation
                self.__exit__()
            else:
                self._waiting.remove(turn)
            raise
        if not done:
            self._waiting.remove(turn)
            raise self._refusal(f"none of {self._most} places came free in time")

    def _refusal(self, why: str) -> BulkheadFull:
        self._refused += 1
        return BulkheadFull(why, retry_after=1.0)

    def statistics(self) -> BulkheadStatistics:
        """A snapshot."""
        return BulkheadStatistics(self._running, self._most, self._refused, len(self._waiting))
