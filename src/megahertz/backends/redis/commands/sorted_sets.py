"""Sorted sets: members in the order of their scores."""

from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from typing import Any

from megahertz.backends.redis.commands.keys import scan_words
from megahertz.backends.redis.commands.scores import (
    Cast,
    first_of,
    popped,
    ranked,
    scored,
    scores,
)
from megahertz.backends.redis.commands.words import (
    Asks,
    Convert,
    Key,
    Keys,
    Value,
    flagged,
    number,
    one_of,
    several,
    text,
)
from megahertz.errors import Misused

Bound = str | bytes | int | float


class SortedSets(Asks):
    """ZADD, ZRANGE and their kin."""

    def zadd(
        self,
        name: Key,
        mapping: Mapping[Any, Value],
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
        incr: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Awaitable[Any]:
        """Scores of members; gives how many are new, with `ch` also changed.

        Args:
            incr: add to the score of one member; gives the new one, None where a condition forbade.
        """
        if not mapping:
            raise Misused("zadd: no members")
        if incr and len(mapping) != 1:
            raise Misused("zadd: incr takes one member and what to add")
        one_of(nx=nx, xx=xx)
        one_of(nx=nx, gt=gt, lt=lt)
        words: list[Any] = ["ZADD", name, *flagged(NX=nx, XX=xx, GT=gt, LT=lt, CH=ch, INCR=incr)]
        words += [word for member, score in mapping.items() for word in (score, member)]
        return self._command(tuple(words), number if incr else None)

    def zrem(self, name: Key, *values: Value) -> Awaitable[int]:
        """Removes members; gives how many there were."""
        return self._command(("ZREM", name, *values))

    def zincrby(self, name: Key, amount: float, value: Value) -> Awaitable[float]:
        """Adds to a score; gives the new one."""
        return self._command(("ZINCRBY", name, amount, value), number)

    def zscore(self, name: Key, value: Value) -> Awaitable[float | None]:
        """The score of a member."""
        return self._command(("ZSCORE", name, value), number, True)

    def zmscore(self, key: Key, members: Iterable[Value]) -> Awaitable[list[float | None]]:
        """The scores of several."""
        named = list(members)
        if not named:
            raise Misused("zmscore: no members")
        return self._command(("ZMSCORE", key, *named), scores, True)

    def zcard(self, name: Key) -> Awaitable[int]:
        """How many there are."""
        return self._command(("ZCARD", name), None, True)

    def zcount(self, name: Key, min: Bound, max: Bound) -> Awaitable[int]:
        """How many have scores from min to max."""
        return self._command(("ZCOUNT", name, min, max), None, True)

    def zlexcount(self, name: Key, min: Bound, max: Bound) -> Awaitable[int]:
        """How many lie between two texts."""
        return self._command(("ZLEXCOUNT", name, min, max), None, True)

    def zrank(self, name: Key, value: Value, withscore: bool = False) -> Awaitable[Any]:
        """Its place, from 0; None where it is none."""
        return self._command(("ZRANK", name, value, *flagged(WITHSCORE=withscore)), ranked, True)

    def zrevrank(self, name: Key, value: Value, withscore: bool = False) -> Awaitable[Any]:
        """Its place from the end."""
        return self._command(("ZREVRANK", name, value, *flagged(WITHSCORE=withscore)), ranked, True)

    def zrange(
        self,
        name: Key,
        start: Any,
        end: Any,
        desc: bool = False,
        withscores: bool = False,
        score_cast_func: Cast = float,
        byscore: bool = False,
        bylex: bool = False,
        offset: int | None = None,
        num: int | None = None,
    ) -> Awaitable[list[Any]]:
        """Members by place, score or text, `end` included; with scores, tuples."""
        words = _range("ZRANGE", (name, start, end), desc, byscore, bylex, offset, num)
        return self._ranged(words, withscores, score_cast_func)

    def zrangestore(
        self,
        dest: Key,
        name: Key,
        start: Any,
        end: Any,
        byscore: bool = False,
        bylex: bool = False,
        desc: bool = False,
        offset: int | None = None,
        num: int | None = None,
    ) -> Awaitable[int]:
        """`zrange`, kept; gives how many."""
        place = (dest, name, start, end)
        return self._command(tuple(_range("ZRANGESTORE", place, desc, byscore, bylex, offset, num)))

    def zrevrange(
        self,
        name: Key,
        start: int,
        end: int,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Awaitable[list[Any]]:
        """By place, from the end."""
        return self._ranged(["ZREVRANGE", name, start, end], withscores, score_cast_func)

    def zrangebyscore(
        self,
        name: Key,
        min: Bound,
        max: Bound,
        start: int | None = None,
        num: int | None = None,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Awaitable[list[Any]]:
        """By score."""
        words = ["ZRANGEBYSCORE", name, min, max, *_limit(start, num)]
        return self._ranged(words, withscores, score_cast_func)

    def zrevrangebyscore(
        self,
        name: Key,
        max: Bound,
        min: Bound,
        start: int | None = None,
        num: int | None = None,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Awaitable[list[Any]]:
        """By score, from the end."""
        words = ["ZREVRANGEBYSCORE", name, max, min, *_limit(start, num)]
        return self._ranged(words, withscores, score_cast_func)

    def zrangebylex(
        self,
        name: Key,
        min: Bound,
        max: Bound,
        start: int | None = None,
        num: int | None = None,
    ) -> Awaitable[list[Any]]:
        """By text, of members with one score."""
        return self._command(("ZRANGEBYLEX", name, min, max, *_limit(start, num)), None, True)

    def zrevrangebylex(
        self,
        name: Key,
        max: Bound,
        min: Bound,
        start: int | None = None,
        num: int | None = None,
    ) -> Awaitable[list[Any]]:
        """By text, from the end."""
        return self._command(("ZREVRANGEBYLEX", name, max, min, *_limit(start, num)), None, True)

    def _ranged(self, words: list[Any], withscores: bool, cast: Cast) -> Awaitable[list[Any]]:
        if not withscores:
            return self._command(tuple(words), None, True)
        return self._command((*words, "WITHSCORES"), scored(cast), True)

    def zremrangebyrank(self, name: Key, min: int, max: int) -> Awaitable[int]:
        """Removes by place."""
        return self._command(("ZREMRANGEBYRANK", name, min, max))

    def zremrangebyscore(self, name: Key, min: Bound, max: Bound) -> Awaitable[int]:
        """Removes by score."""
        return self._command(("ZREMRANGEBYSCORE", name, min, max))

    def zremrangebylex(self, name: Key, min: Bound, max: Bound) -> Awaitable[int]:
        """Removes by text."""
        return self._command(("ZREMRANGEBYLEX", name, min, max))

    def zpopmin(self, name: Key, count: int | None = None) -> Awaitable[list[Any]]:
        """Takes those with the lowest scores, as tuples."""
        return self._command(("ZPOPMIN", name, *(() if count is None else (count,))), scored())

    def zpopmax(self, name: Key, count: int | None = None) -> Awaitable[list[Any]]:
        """Takes those with the highest."""
        return self._command(("ZPOPMAX", name, *(() if count is None else (count,))), scored())

    def bzpopmin(self, keys: Keys, timeout: float = 0) -> Awaitable[Any]:
        """`(key, member, score)` of the first that has something; None after so many seconds."""
        waits = timeout or 0
        return self._blocking(("BZPOPMIN", *several(keys), waits), first_of, waits)

    def bzpopmax(self, keys: Keys, timeout: float = 0) -> Awaitable[Any]:
        """The same with the highest."""
        waits = timeout or 0
        return self._blocking(("BZPOPMAX", *several(keys), waits), first_of, waits)

    def zmpop(
        self,
        num_keys: int,
        keys: Iterable[Key],
        min: bool | None = False,
        max: bool | None = False,
        count: int | None = 1,
    ) -> Awaitable[Any]:
        """Takes from the first that has something: `[key, members with scores]`."""
        return self._command(("ZMPOP", num_keys, *keys, *_which(min, max, count)), popped)

    def bzmpop(
        self,
        timeout: float,
        numkeys: int,
        keys: Iterable[Key],
        min: bool | None = False,
        max: bool | None = False,
        count: int | None = 1,
    ) -> Awaitable[Any]:
        """`zmpop`, once there is something."""
        words = ("BZMPOP", timeout, numkeys, *keys, *_which(min, max, count))
        return self._blocking(words, popped, timeout)

    def zscan(
        self,
        name: Key,
        cursor: int = 0,
        match: Key | None = None,
        count: int | None = None,
        score_cast_func: Cast = float,
    ) -> Awaitable[tuple[int, list[Any]]]:
        """The next cursor, and some members with scores."""
        words = ("ZSCAN", name, cursor, *scan_words(match, count))
        return self._command(words, _scanned(score_cast_func), True)

    async def zscan_iter(
        self,
        name: Key,
        match: Key | None = None,
        count: int | None = None,
        score_cast_func: Cast = float,
    ) -> AsyncIterator[Any]:
        """All members with scores."""
        cursor = -1
        while cursor != 0:
            cursor, found = await self.zscan(name, max(cursor, 0), match, count, score_cast_func)
            for pair in found:
                yield pair


def _scanned(cast: Cast) -> Convert:
    pairs = scored(cast)
    return lambda reply: (int(text(reply[0])), pairs(reply[1]))


def _limit(start: int | None, num: int | None) -> list[Any]:
    if (start is None) != (num is None):
        raise Misused("start and num are given together")
    return [] if start is None else ["LIMIT", start, num]


def _range(
    name: str,
    place: tuple[Any, ...],
    desc: bool,
    byscore: bool,
    bylex: bool,
    offset: int | None,
    num: int | None,
) -> list[Any]:
    one_of(byscore=byscore, bylex=bylex)
    if (offset is None) != (num is None):
        raise Misused("offset and num are given together")
    words = [name, *place, *flagged(BYSCORE=byscore, BYLEX=bylex, REV=desc)]
    return words if offset is None else [*words, "LIMIT", offset, num]


def _which(min: bool | None, max: bool | None, count: int | None) -> list[Any]:
    if bool(min) == bool(max):
        raise Misused("either min or max")
    return ["MIN" if min else "MAX", *([] if count in (None, 1) else ["COUNT", count])]
