"""Moving durable records to their sink: in order, in batches, and again until it works."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

from megahertz.data.window import Entry
from megahertz.errors import Poisoned

T = TypeVar("T")

FIRST_WAIT = 0.05
"""Before the first retry (gRPC's connection back-off starts at 1 s; a local sink is nearer)."""
LONGEST_WAIT = 5.0
"""The cap of the back-off (gRPC: 120 s; tenacity's users: 10 s); what a revived sink waits for."""

log = logging.getLogger("megahertz.data")


class Drain(Generic[T]):
    """A queue whose one consumer hands batches to a sink.

    Args:
        sink: stores a batch; raising means that none, some or all of it was stored.
        stored: told of each batch the sink has, in order.
        bury: keeps records that the sink says it can never store (`Poisoned`).
        batch: records of one call at most.
        linger: seconds that a record waits for company at most.
    """

    def __init__(
        self,
        sink: Callable[[list[T]], Awaitable[Any]],
        stored: Callable[[list[Entry[T]]], None],
        bury: Callable[[list[Entry[T]]], Awaitable[Any]],
        *,
        batch: int,
        linger: float,
    ) -> None:
        self._sink, self._stored, self._bury = sink, stored, bury
        self._batch, self._linger = batch, linger
        self._ready: deque[Entry[T]] = deque()
        self._some, self._enough = asyncio.Event(), asyncio.Event()
        self._idle, self._hurried = asyncio.Event(), 0
        self._idle.set()
        self.batches = self.failures = self.buried = 0
        self.last_error: str | None = None

    def add(self, entries: Iterable[Entry[T]]) -> None:
        """Queues durable records, in the order of their sequence numbers."""
        self._ready.extend(entries)
        if self._ready:
            self._idle.clear()
            self._some.set()
            if len(self._ready) >= self._batch:
                self._enough.set()

    async def flush(self) -> None:
        """Returns once the sink has everything; meanwhile batches do not wait for company."""
        self._hurried += 1
        self._enough.set()
        try:
            await self._idle.wait()
        finally:
            self._hurried -= 1

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            await self._some.wait()
            await self._company()
            count = min(self._batch, len(self._ready))
            entries = [self._ready.popleft() for _ in range(count)]
            await self._store(entries)
            self._stored(entries)
            self.batches += 1
            if not self._ready:
                self._some.clear()
                self._idle.set()

    async def _company(self) -> None:
        if self._hurried or len(self._ready) >= self._batch:
            return
        self._enough.clear()
        try:
            async with asyncio.timeout(self._linger):
                await self._enough.wait()
        except TimeoutError:
            pass

    async def _store(self, entries: list[Entry[T]]) -> None:
        failed = 0
        while entries:
            try:
                await self._sink([entry.record for entry in entries])
            except Exception as error:
                try:
                    entries = await self._without(entries, error)
                except Exception as worse:
                    failed += 1
                    await self._back_off(worse, failed)
            else:
                break
        if failed:
            log.warning("the sink works again after %d failures", failed)

    async def _without(self, entries: list[Entry[T]], error: Exception) -> list[Entry[T]]:
        """The batch without its dead letters; raises `error` where it is about no record."""
        if not isinstance(error, Poisoned) or not error.records:
            raise error
        dead = [entry for at, entry in enumerate(entries) if at in error.records]
        await self._bury(dead)
        self.buried += len(dead)
        log.error("%d records can never be stored, see dead_letters(): %s", len(dead), error)
        return [entry for at, entry in enumerate(entries) if at not in error.records]

    async def _back_off(self, error: Exception, failed: int) -> None:
        self.failures += 1
        self.last_error = f"{type(error).__name__}: {error}"
        if failed == 1:
            log.warning("the sink failed, its batch is kept: %s", self.last_error)
        # Full jitter over the upper half: retries of many workers spread, none comes at once.
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failed - 1, 16))
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))
