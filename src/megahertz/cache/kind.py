"""What every local cache is, whatever it forgets first."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, overload

from megahertz.cache.hot import HotKey

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """How a cache stands; counts are since its making.

    Attributes:
        hits: calls of `get` that found something.
        misses: calls of `get` that did not.
        evictions: entries that went for others, and those too heavy to be kept at all.
        expirations: entries that went because their time was over.
        size: entries, with those whose time is over and that nobody has asked for since.
        weight: of them.
    """

    hits: int
    misses: int
    evictions: int
    expirations: int
    size: int
    weight: int


class Cache(Protocol[K, V]):
    """A bounded map that may forget anything at any time."""

    @overload
    def get(self, key: K) -> V | None: ...

    @overload
    def get(self, key: K, default: D) -> V | D: ...

    def get(self, key: K, default: Any = None) -> Any:
        """The value, or `default`; counted, and noted as a use of the key."""
        ...

    def set(self, key: K, value: V, *, ttl: float | None = None) -> None:
        """Keeps it, in place of what was there, for `ttl` seconds or as the cache does."""
        ...

    def delete(self, key: K) -> bool:
        """Forgets it; whether there was something."""
        ...

    def __contains__(self, key: object) -> bool:
        """Whether `get` would find it; neither counted nor a use."""
        ...

    def __len__(self) -> int:
        """Entries, with those whose time is over and that nobody has asked for since."""
        ...

    def clear(self) -> None:
        """Forgets everything but what was counted."""
        ...

    def items(self) -> list[tuple[K, V]]:
        """A copy of what is there, the next to go first where the cache knows."""
        ...

    def expire(self) -> int:
        """Forgets all entries whose time is over, and says how many; looks at each."""
        ...

    def hot(self, most: int | None = None) -> list[HotKey[K]]:
        """The keys asked for most, the first first; none where they are not counted."""
        ...

    def statistics(self) -> CacheStatistics:
        """A snapshot."""
        ...
