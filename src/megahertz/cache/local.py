"""What LRU and ARC have in common: entries with a weight and an end, and what is counted.

Rules:

- What is over is found by who asks for it, by `expire`, or when its turn to go comes; nothing runs
  in between. The bound holds all the same, because what is over is weighed until it goes.
- An end is at random within `jitter` of its time, so that what was filled together does not have
  to be loaded together.
- There is no lock: a cache belongs to one thread, as an event loop is one. `Sharded` has locks.
"""

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import inf
from typing import Any, Generic, overload

from megahertz.cache.hot import Hot, HotKey
from megahertz.cache.kind import CacheStatistics, D, K, V
from megahertz.clock import Clock
from megahertz.errors import BadSettings

Entry = tuple[V, float | None, int]
"""The value, when it is over, its weight."""


class Pulse:
    """What every hit and every fill counts; by itself, since slots are quicker (`held.finder`).

    Attributes:
        hits: calls that found something.
        turn: fills; whoever holds the same object has noted a use since the last.
    """

    __slots__ = ("hits", "turn")

    def __init__(self) -> None:
        self.hits = self.turn = 0


class Local(ABC, Generic[K, V]):
    """A bounded map in memory. A kind of it says what is forgotten first.

    Args:
        capacity: entries, or the sum of their weights.
        ttl: seconds that an entry is kept; without it until it has to go. `set` may say otherwise,
            `math.inf` too.
        jitter: the share by which these are longer or shorter, at random.
        weigh: of the key and the value, a whole number from 1; without it each is 1.
        hot: so many counters of the keys asked for most (`Hot`).
        clock: where time comes from, for tests.

    Raises:
        BadSettings: a number that cannot be.
    """

    _entries: dict[K, Entry[V]]
    _use: Callable[[K], object]
    """Notes that a key which is there was asked for."""

    def __init__(
        self,
        capacity: int,
        *,
        ttl: float | None = None,
        jitter: float = 0.05,
        weigh: Callable[[K, V], int] | None = None,
        hot: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        kind = type(self).__name__
        if capacity < 1:
            raise BadSettings(f"{kind}({capacity=}): at least 1")
        if not ((ttl is None or ttl > 0) and 0 <= jitter < 1):
            raise BadSettings(f"{kind}({ttl=}, {jitter=}): ttl > 0, 0 <= jitter < 1")
        self.capacity, self.ttl, self.jitter = capacity, ttl, jitter
        self._weigh = weigh
        self._hot: Hot[K] | None = None if hot is None else Hot(hot)
        self._now = time.monotonic if clock is None else clock.now
        self._misses = self._evictions = self._expirations = 0
        self._pulse = Pulse()
        self._begin()
        self.clear()

    @abstractmethod
    def _begin(self) -> None:
        """Makes `_entries` and `_use`, which stay the same objects as long as the cache."""

    @abstractmethod
    def _put(self, key: K, entry: Entry[V]) -> None:
        """Keeps an entry that is no heavier than the capacity, and lets others go for it."""

    @abstractmethod
    def _drop(self, key: K) -> Entry[V]:
        """Takes out one that is there."""

    @abstractmethod
    def _total(self) -> int:
        """The weight of all entries."""

    @overload
    def get(self, key: K) -> V | None: ...

    @overload
    def get(self, key: K, default: D) -> V | D: ...

    def get(self, key: K, default: Any = None) -> Any:
        """The value, or `default`; counted, and noted as a use of the key."""
        if self._hot is not None:
            self._hot.add(key)
        entry = self._entries.get(key)
        if entry is None:
            self._misses += 1
            return default
        value, end, _ = entry
        if end is not None and end <= self._now():
            self._drop(key)
            self._expirations += 1
            self._misses += 1
            return default
        self._use(key)
        self._pulse.hits += 1
        return value

    def set(self, key: K, value: V, *, ttl: float | None = None) -> None:
        """Keeps it, in place of what was there, for `ttl` seconds or as the cache does.

        What is heavier than the whole cache is not kept, nor is what it should replace.

        Raises:
            BadSettings: a ttl that is not above 0, a weight that is not a whole number from 1.
        """
        end = self._end(self.ttl if ttl is None else ttl)
        weight = 1 if self._weigh is None else self._weigh(key, value)
        if not (isinstance(weight, int) and weight >= 1):
            raise BadSettings(f"weigh gave {weight!r} for {key!r}: a whole number, at least 1")
        self._pulse.turn += 1
        if weight <= self.capacity:
            self._put(key, (value, end, weight))
            return
        self._evictions += 1
        if key in self._entries:
            self._drop(key)

    def _end(self, ttl: float | None) -> float | None:
        if ttl is None or ttl == inf:
            return None
        if not ttl > 0:
            raise BadSettings(f"{type(self).__name__}.set({ttl=}): above 0")
        if self.jitter:
            ttl *= random.uniform(1 - self.jitter, 1 + self.jitter)
        return self._now() + ttl

    def _is_over(self, entry: Entry[V]) -> bool:
        return entry[1] is not None and entry[1] <= self._now()

    def _gone(self, entry: Entry[V]) -> None:
        """Counts one that went for another."""
        if self._is_over(entry):
            self._expirations += 1
        else:
            self._evictions += 1

    def delete(self, key: K) -> bool:
        """Forgets it; whether there was something."""
        return key in self._entries and not self._is_over(self._drop(key))

    def __contains__(self, key: object) -> bool:
        """Whether `get` would find it; neither counted nor a use."""
        entry = self._entries.get(key)  # type: ignore[arg-type]
        return entry is not None and not self._is_over(entry)

    def __len__(self) -> int:
        return len(self._entries)

    @abstractmethod
    def clear(self) -> None:
        """Forgets everything but what was counted; called once before anything is kept, too."""

    def _order(self) -> list[K]:
        return list(self._entries)

    def items(self) -> list[tuple[K, V]]:
        """A copy of what is there, the next to go first where the cache knows."""
        found = ((key, self._entries[key]) for key in self._order())
        return [(key, entry[0]) for key, entry in found if not self._is_over(entry)]

    def expire(self) -> int:
        """Forgets all entries whose time is over, and says how many; looks at each."""
        over = [key for key, entry in self._entries.items() if self._is_over(entry)]
        for key in over:
            self._drop(key)
        self._expirations += len(over)
        return len(over)

    def hot(self, most: int | None = None) -> list[HotKey[K]]:
        """The keys asked for most, the first first; none where they are not counted."""
        return [] if self._hot is None else self._hot.top(most)

    def statistics(self) -> CacheStatistics:
        """A snapshot."""
        return CacheStatistics(
            self._pulse.hits,
            self._misses,
            self._evictions,
            self._expirations,
            len(self._entries),
            self._total(),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.capacity}, ttl={self.ttl})"
