"""One look a second, shared by all who follow; none while nobody does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

EVERY = 1.0
"""Seconds between two looks."""


class Looks:
    """Pictures for any number of followers.

    Args:
        begin: gives what makes a picture; called on the loop when somebody begins to follow, the
            other in a thread.

    Attributes:
        viewers: who follow now.
    """

    def __init__(self, begin: Callable[[], Callable[[], bytes]]) -> None:
        self._begin = begin
        self._next: asyncio.Future[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self.viewers = 0

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """Gives the pictures to come; who is late misses some."""
        if self._task is None:
            self._next = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._look(self._begin()))
        self.viewers += 1
        try:
            yield self._pictures()
        finally:
            self.viewers -= 1
            if not self.viewers and self._task is not None:
                self._task.cancel()
                self._task = self._next = None

    async def _pictures(self) -> AsyncIterator[bytes]:
        while self._next is not None:
            yield await asyncio.shield(self._next)

    async def _look(self, look: Callable[[], bytes]) -> None:
        loop = asyncio.get_running_loop()
        while (waited := self._next) is not None:
            try:
                picture = await asyncio.to_thread(look)
            except Exception as error:  # followers are told, and may come again
                self._next, self._task = None, None
                waited.set_exception(error)
                return
            self._next = loop.create_future()
            waited.set_result(picture)
            await asyncio.sleep(EVERY)
