"""One load of a key at a time among the tasks of a loop.

Theory: who finds nothing joins the load that is under way, or begins one (singleflight of Go's
groupcache). A load is a task of its own: the waiter that began it may be cancelled, or have no
time left, and the others still get their value. Waiters wait for a future, which the clock fails
as well: a loader that ignores its cancellation holds its place among the loads, and no key.

A load that was overtaken (its key was deleted meanwhile) is *detached*: who waits for it already
gets what it brings, nobody joins it any more, and what it brings is not kept. So the identity of a
flight is the generation of its key.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, Generic, TypeVar

from megahertz.cache.kind import K
from megahertz.context import lift_deadline
from megahertz.errors import DeadlineExceeded, Overloaded, ReadError

V = TypeVar("V")

MOST: Final = 16_384
"""Loads that run or wait for their turn; as many as commands may wait for a Redis."""


class Flight(Generic[V]):
    """A load under way."""

    __slots__ = ("future", "task", "timer")

    def __init__(self, future: asyncio.Future[V]) -> None:
        self.future = future
        self.task: asyncio.Task[None]
        self.timer: asyncio.TimerHandle


class Flights(Generic[K, V]):
    """The loads of one cache.

    Args:
        name: of the cache, for errors.
        load: what a flight does: of the key and the flight.
        timeout: seconds for it, its wait for a place included.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[K, Flight[V], Any], Coroutine[Any, Any, V]],
        timeout: float,
    ) -> None:
        self._name, self._load, self._timeout = name, load, timeout
        self._flying: dict[K, Flight[V]] = {}

    def __len__(self) -> int:
        return len(self._flying)

    def __iter__(self) -> Iterator[K]:
        return iter(self._flying)

    def get(self, key: K) -> Flight[V] | None:
        """The load of a key that may be joined."""
        flight = self._flying.get(key)
        if flight is not None and flight.future.get_loop().is_closed():
            return None  # left behind by a loop that ended in the middle of it
        return flight

    def keeps(self, key: K, flight: Flight[V]) -> bool:
        """Whether what it brings is still the newest that is known of."""
        return self._flying.get(key) is flight

    def begin(self, key: K, held: Any = None) -> Flight[V]:
        """Begins one.

        Args:
            held: handed on to `load`.

        Raises:
            Overloaded: as many as may be are under way.
        """
        if len(self._flying) >= MOST:
            raise Overloaded(f"{self._name}: {MOST} loads are under way", retry_after=1.0)
        loop = asyncio.get_running_loop()
        flight: Flight[V] = Flight(loop.create_future())
        self._flying[key] = flight
        context = contextvars.copy_context()
        context.run(lift_deadline)
        flight.timer = loop.call_later(self._timeout, self._late, key, flight)
        flight.task = loop.create_task(
            self._fly(key, flight, held), name=f"load {self._name}", context=context
        )
        return flight

    async def _fly(self, key: K, flight: Flight[V], held: Any) -> None:
        try:
            value = await self._load(key, flight, held)
        except asyncio.CancelledError:
            self._fail(key, flight, ReadError(f"{self._name}: the load of {key!r} was cancelled"))
        except Exception as error:
            self._fail(key, flight, error)
        else:
            self._end(key, flight)
            if not flight.future.done():
                flight.future.set_result(value)

    def _late(self, key: K, flight: Flight[V]) -> None:
        why = f"{self._name}: {key!r} was not loaded within {self._timeout:g} s"
        self._fail(key, flight, DeadlineExceeded(why))
        flight.task.cancel()

    def _fail(self, key: K, flight: Flight[V], error: Exception) -> None:
        self._end(key, flight)
        # A loop that was closed in the middle of it has no callbacks to call.
        if not (flight.future.done() or flight.future.get_loop().is_closed()):
            flight.future.set_exception(error)
            flight.future.exception()  # perhaps nobody waits: that is no news for the loop

    def _end(self, key: K, flight: Flight[V]) -> None:
        flight.timer.cancel()
        if self._flying.get(key) is flight:
            del self._flying[key]

    async def join(self, flight: Flight[V]) -> V:
        """Waits for it; who is cancelled only stops waiting."""
        return await asyncio.shield(flight.future)

    def detach(self, key: K) -> None:
        """Nobody joins the load of this key any more, and what it brings is not kept."""
        self._flying.pop(key, None)

    def detach_all(self) -> None:
        """The same of all keys."""
        self._flying.clear()
