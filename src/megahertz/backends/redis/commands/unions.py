"""Several sorted sets at once."""

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from megahertz.backends.redis.commands.scores import Cast, flat, scored
from megahertz.backends.redis.commands.words import Asks, Key, flagged
from megahertz.errors import Misused

Weighted = Iterable[Key] | Mapping[Any, float]


class Unions(Asks):
    """ZUNION, ZINTER, ZDIFF; `keys` may be a mapping from key to weight."""

    def zunion(
        self,
        keys: Weighted,
        aggregate: str | None = None,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Awaitable[list[Any]]:
        """Members of any of them; scores by SUM, MIN or MAX."""
        return self._aggregate("ZUNION", keys, aggregate, withscores, score_cast_func)

    def zinter(
        self, keys: Weighted, aggregate: str | None = None, withscores: bool = False
    ) -> Awaitable[list[Any]]:
        """Members of all."""
        return self._aggregate("ZINTER", keys, aggregate, withscores, float)

    def _aggregate(
        self, name: str, keys: Weighted, aggregate: str | None, withscores: bool, cast: Cast
    ) -> Awaitable[list[Any]]:
        words = (name, *_weighed(keys, aggregate), *flagged(WITHSCORES=withscores))
        return self._command(words, scored(cast) if withscores else None, True)

    def zunionstore(
        self, dest: Key, keys: Weighted, aggregate: str | None = None
    ) -> Awaitable[int]:
        """`zunion`, kept; gives how many."""
        return self._command(("ZUNIONSTORE", dest, *_weighed(keys, aggregate)))

    def zinterstore(
        self, dest: Key, keys: Weighted, aggregate: str | None = None
    ) -> Awaitable[int]:
        """`zinter`, kept."""
        return self._command(("ZINTERSTORE", dest, *_weighed(keys, aggregate)))

    def zdiff(self, keys: Iterable[Key], withscores: bool = False) -> Awaitable[list[Any]]:
        """What is in the first and in none of the others; with scores, in turn."""
        named = list(keys)
        words = ("ZDIFF", len(named), *named, *flagged(WITHSCORES=withscores))
        return self._command(words, flat if withscores else None, True)

    def zdiffstore(self, dest: Key, keys: Iterable[Key]) -> Awaitable[int]:
        """`zdiff`, kept."""
        named = list(keys)
        return self._command(("ZDIFFSTORE", dest, len(named), *named))

    def zintercard(self, numkeys: int, keys: Iterable[Key], limit: int = 0) -> Awaitable[int]:
        """How many are in all, counted up to a limit."""
        return self._command(("ZINTERCARD", numkeys, *keys, "LIMIT", limit), None, True)

    def zrandmember(
        self, key: Key, count: int | None = None, withscores: bool = False
    ) -> Awaitable[Any]:
        """A member, or some of them, perhaps with scores in turn."""
        tail: list[Any] = [] if count is None else [count]
        tail += flagged(WITHSCORES=withscores)
        return self._command(("ZRANDMEMBER", key, *tail), flat if withscores else None, True)


def _weighed(keys: Weighted, aggregate: str | None) -> list[Any]:
    words: list[Any] = []
    if isinstance(keys, Mapping):
        words = [len(keys), *keys, "WEIGHTS", *keys.values()]
    else:
        named = list(keys)
        words = [len(named), *named]
    if aggregate is None:
        return words
    if aggregate.upper() not in ("SUM", "MIN", "MAX"):
        raise Misused("aggregate is SUM, MIN or MAX")
    return [*words, "AGGREGATE", aggregate]
