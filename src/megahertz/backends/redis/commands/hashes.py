"""Hashes: fields with values, below one key."""

from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from megahertz.backends.redis.commands.keys import scan_words
from megahertz.backends.redis.commands.words import (
    Asks,
    Key,
    Keys,
    Value,
    as_dict,
    flagged,
    is_ok,
    number,
    pairs,
    several,
    text,
    whole_milliseconds,
    whole_seconds,
)
from megahertz.errors import Misused


class Hashes(Asks):
    """HGET, HSET and their kin."""

    def hget(self, name: Key, key: Key) -> Awaitable[Any]:
        """The value of a field; None where there is none."""
        return self._command(("HGET", name, key), None, True)

    def hset(
        self,
        name: Key,
        key: Key | None = None,
        value: Value | None = None,
        mapping: Mapping[Any, Value] | None = None,
        items: Sequence[Value] | None = None,
    ) -> Awaitable[int]:
        """Sets a field, those of `mapping`, or `items` in turn; gives how many are new."""
        words: list[Any] = ["HSET", name]
        if key is not None:
            words += [key, value]
        words += [*(items or ()), *pairs(mapping or {})]
        if len(words) == 2:
            raise Misused("hset: no fields; give key and value, mapping or items")
        return self._command(tuple(words))

    def hsetnx(self, name: Key, key: Key, value: Value) -> Awaitable[int]:
        """Sets a field that there is not; whether it did."""
        return self._command(("HSETNX", name, key, value), int)

    def hmset(self, name: Key, mapping: Mapping[Any, Value]) -> Awaitable[bool]:
        """An old name of `hset`."""
        if not mapping:
            raise Misused("hmset: no fields")
        return self._command(("HMSET", name, *pairs(mapping)), is_ok)

    def hmget(self, name: Key, keys: Keys, *args: Key) -> Awaitable[list[Any]]:
        """The values of several fields."""
        return self._command(("HMGET", name, *several(keys, args)), None, True)

    def hgetall(self, name: Key) -> Awaitable[dict[Any, Any]]:
        """All of it."""
        return self._command(("HGETALL", name), as_dict, True)

    def hdel(self, name: Key, *keys: Key) -> Awaitable[int]:
        """Deletes fields; gives how many there were."""
        return self._command(("HDEL", name, *keys))

    def hexists(self, name: Key, key: Key) -> Awaitable[bool]:
        """Whether there is such a field."""
        return self._command(("HEXISTS", name, key), bool, True)

    def hkeys(self, name: Key) -> Awaitable[list[Any]]:
        """Its fields."""
        return self._command(("HKEYS", name), None, True)

    def hvals(self, name: Key) -> Awaitable[list[Any]]:
        """Their values."""
        return self._command(("HVALS", name), None, True)

    def hlen(self, name: Key) -> Awaitable[int]:
        """How many there are."""
        return self._command(("HLEN", name), None, True)

    def hstrlen(self, name: Key, key: Key) -> Awaitable[int]:
        """Octets of a field's value."""
        return self._command(("HSTRLEN", name, key), None, True)

    def hincrby(self, name: Key, key: Key, amount: int = 1) -> Awaitable[int]:
        """Counts a field up."""
        return self._command(("HINCRBY", name, key, amount))

    def hincrbyfloat(self, name: Key, key: Key, amount: float = 1.0) -> Awaitable[float]:
        """By a fraction."""
        return self._command(("HINCRBYFLOAT", name, key, amount), number)

    def hrandfield(
        self, key: Key, count: int | None = None, withvalues: bool = False
    ) -> Awaitable[Any]:
        """A field, or `count` of them, perhaps with their values in turn."""
        tail: list[Any] = [] if count is None else [count]
        if withvalues:
            tail.append("WITHVALUES")
        return self._command(("HRANDFIELD", key, *tail), _flat if withvalues else None, True)

    def hscan(
        self,
        name: Key,
        cursor: int = 0,
        match: Key | None = None,
        count: int | None = None,
        no_values: bool | None = None,
    ) -> Awaitable[tuple[int, Any]]:
        """The next cursor, and some fields with their values."""
        words = ["HSCAN", name, cursor, *scan_words(match, count)]
        words += flagged(NOVALUES=no_values)
        convert = _scanned_fields if no_values else _scanned
        return self._command(tuple(words), convert, True)

    async def hscan_iter(
        self,
        name: Key,
        match: Key | None = None,
        count: int | None = None,
        no_values: bool | None = None,
    ) -> AsyncIterator[Any]:
        """All fields with their values."""
        cursor = -1
        while cursor != 0:
            cursor, found = await self.hscan(name, max(cursor, 0), match, count, no_values)
            for each in found if no_values else found.items():
                yield each

    def hexpire(
        self,
        name: Key,
        seconds: int | timedelta,
        *fields: Key,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Awaitable[list[int]]:
        """Fields expire after seconds (Redis 7.4); -2: there is none, 0: a condition."""
        words = ("HEXPIRE", name, whole_seconds(seconds), *flagged(NX=nx, XX=xx, GT=gt, LT=lt))
        return self._command((*words, *_fields(fields)))

    def hpexpire(
        self,
        name: Key,
        milliseconds: int | timedelta,
        *fields: Key,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Awaitable[list[int]]:
        """After milliseconds."""
        words = ("HPEXPIRE", name, whole_milliseconds(milliseconds))
        return self._command((*words, *flagged(NX=nx, XX=xx, GT=gt, LT=lt), *_fields(fields)))

    def hpersist(self, name: Key, *fields: Key) -> Awaitable[list[int]]:
        """They do not expire any more."""
        return self._command(("HPERSIST", name, *_fields(fields)))

    def httl(self, key: Key, *fields: Key) -> Awaitable[list[int]]:
        """Seconds that fields have."""
        return self._command(("HTTL", key, *_fields(fields)), None, True)


def _fields(fields: Iterable[Key]) -> list[Any]:
    named = list(fields)
    return ["FIELDS", len(named), *named]


def _flat(reply: Any) -> Any:
    if reply and isinstance(reply[0], list):
        return [word for pair in reply for word in pair]
    return reply


def _scanned(reply: Any) -> tuple[int, dict[Any, Any]]:
    return int(text(reply[0])), as_dict(reply[1])


def _scanned_fields(reply: Any) -> tuple[int, list[Any]]:
    return int(text(reply[0])), reply[1]
