"""A cache in parts with a lock each, for threads."""

from collections.abc import Callable, Iterator
from dataclasses import astuple
from threading import RLock
from typing import Any, Final, Generic, overload

from megahertz.cache.hot import HotKey
from megahertz.cache.kind import Cache, CacheStatistics, D, K, V
from megahertz.errors import BadSettings

_GOLDEN: Final = 0x9E3779B97F4A7C15
"""2**64 / golden ratio: Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, 6.4).
The hash of a whole number is the number, and keys that are multiples of 16 would share a shard."""

_WORD: Final = (1 << 64) - 1


class Sharded(Generic[K, V]):
    """`shards` caches that `make` made, each with the keys of its hashes and a lock; for threads.

    The capacity is that of all: `Sharded(lambda: LRU(1000), shards=16)` keeps 16,000 entries, and
    forgets what is first in the key's shard. A lock may be taken again by its own thread: the end
    of a value that goes (`__del__`) may ask the cache.

    Raises:
        BadSettings: fewer than one shard.
    """

    def __init__(self, make: Callable[[], Cache[K, V]], *, shards: int = 16) -> None:
        if shards < 1:
            raise BadSettings(f"Sharded({shards=}): at least 1")
        self._shards = [(RLock(), make()) for _ in range(shards)]

    def _shard(self, key: object) -> tuple[Any, Cache[K, V]]:
        mixed = (hash(key) * _GOLDEN) & _WORD
        return self._shards[mixed * len(self._shards) >> 64]

    @overload
    def get(self, key: K) -> V | None: ...

    @overload
    def get(self, key: K, default: D) -> V | D: ...

    def get(self, key: K, default: Any = None) -> Any:
        """The value, or `default`; counted, and noted as a use of the key."""
        lock, cache = self._shard(key)
        with lock:
            return cache.get(key, default)

    def set(self, key: K, value: V, *, ttl: float | None = None) -> None:
        """Keeps it, in place of what was there, for `ttl` seconds or as the cache does."""
        lock, cache = self._shard(key)
        with lock:
            cache.set(key, value, ttl=ttl)

    def delete(self, key: K) -> bool:
        """Forgets it; whether there was something."""
        lock, cache = self._shard(key)
        with lock:
            return cache.delete(key)

    def __contains__(self, key: object) -> bool:
        """Whether `get` would find it; neither counted nor a use."""
        lock, cache = self._shard(key)
        with lock:
            return key in cache

    def _each(self) -> Iterator[Cache[K, V]]:
        """One at a time: what is summed up was never true of all at once."""
        for lock, cache in self._shards:
            with lock:
                yield cache

    def __len__(self) -> int:
        return sum(len(cache) for cache in self._each())

    def clear(self) -> None:
        """Forgets everything but what was counted."""
        for cache in self._each():
            cache.clear()

    def items(self) -> list[tuple[K, V]]:
        """A copy of what is there, shard by shard."""
        return [item for cache in self._each() for item in cache.items()]

    def expire(self) -> int:
        """Forgets all entries whose time is over, and says how many; looks at each."""
        return sum(cache.expire() for cache in self._each())

    def hot(self, most: int | None = None) -> list[HotKey[K]]:
        """The keys asked for most, the first first; a key is counted in its shard alone."""
        found = [key for cache in self._each() for key in cache.hot()]
        return sorted(found, key=lambda key: -key.count)[:most]

    def statistics(self) -> CacheStatistics:
        """Sums over the shards."""
        each = [astuple(cache.statistics()) for cache in self._each()]
        return CacheStatistics(*map(sum, zip(*each, strict=True)))
