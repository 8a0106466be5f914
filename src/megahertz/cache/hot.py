"""Which keys are asked for most, in bounded memory.

Theory: Space-Saving (Metwally, Agrawal and El Abbadi, Efficient Computation of Frequent and Top-k
Elements in Data Streams, ICDT 2005). There are so many counters. A key that has none takes over
the smallest, and its count as its error. So a count is never too low, too high by its error at
most, and a key with more than 1 / counters of all requests always has a counter.

The paper's list of buckets is a dict by count here: the smallest count grows by one at a time, so
the next bucket is found without looking for it, and each request costs the same.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from megahertz.errors import BadSettings

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class HotKey(Generic[K]):
    """A key, and how often it was asked for: at most `count`, at least `count - error`."""

    key: K
    count: int
    error: int


class Hot(Generic[K]):
    """Counts the most frequent of what it is told, with `counters` counters; for one thread.

    Raises:
        BadSettings: fewer than one counter.
    """

    __slots__ = ("_buckets", "_counters", "_counts", "_errors", "_least")

    def __init__(self, counters: int = 32) -> None:
        if counters < 1:
            raise BadSettings(f"Hot({counters=}): at least 1")
        self._counters = counters
        self.clear()

    def clear(self) -> None:
        """Begins again: what was hot yesterday hides what is hot now until it is overtaken."""
        self._counts: dict[K, int] = {}
        self._errors: dict[K, int] = {}
        self._buckets: dict[int, dict[K, None]] = {}
        self._least = 1

    def add(self, key: K) -> None:
        """One more request for it."""
        counts = self._counts
        count = counts.get(key)
        if count is not None:
            self._leave(count, key)
        elif len(counts) < self._counters:
            count = self._errors[key] = 0
            self._least = 1
        else:
            count = self._errors[key] = self._overtake()
        counts[key] = count + 1
        self._buckets.setdefault(count + 1, {})[key] = None

    def _leave(self, count: int, key: K) -> None:
        bucket = self._buckets[count]
        del bucket[key]
        if not bucket:
            del self._buckets[count]
            if count == self._least:
                self._least += 1  # it goes there itself

    def _overtake(self) -> int:
        """The smallest count; its oldest key has none any more."""
        least = self._least
        oldest = next(iter(self._buckets[least]))
        self._leave(least, oldest)
        del self._counts[oldest], self._errors[oldest]
        return least

    def top(self, most: int | None = None) -> list[HotKey[K]]:
        """The keys with counters, the greatest count first."""
        found = sorted(self._counts.items(), key=lambda item: -item[1])
        return [HotKey(key, count, self._errors[key]) for key, count in found[:most]]
