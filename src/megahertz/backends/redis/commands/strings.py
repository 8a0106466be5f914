"""Strings, numbers in them, and their bits."""

from collections.abc import Awaitable, Mapping
from datetime import datetime, timedelta
from typing import Any

from megahertz.backends.redis.commands.words import (
    Asks,
    Key,
    Keys,
    Value,
    as_dict,
    at_milliseconds,
    at_seconds,
    flagged,
    is_ok,
    number,
    ok_or_none,
    one_of,
    pairs,
    several,
    whole_milliseconds,
    whole_seconds,
)
from megahertz.errors import Misused

_NOTHING = ("EVAL", "return {}", 0)


class Strings(Asks):
    """GET, SET and their kin."""

    def get(self, name: Key) -> Awaitable[Any]:
        """The value of a key; None where there is none."""
        return self._command(("GET", name), None, True)

    def set(
        self,
        name: Key,
        value: Value,
        ex: int | timedelta | None = None,
        px: int | timedelta | None = None,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool = False,
        exat: int | datetime | None = None,
        pxat: int | datetime | None = None,
    ) -> Awaitable[Any]:
        """Sets it; True, or None where `nx` or `xx` forbade it. With `get`, the old value.

        Args:
            ex: seconds until it expires; `px`: milliseconds; `exat`, `pxat`: when, since 1970.
            keepttl: it expires when it would have.
        """
        if ex is None and px is None and exat is None and pxat is None:
            if not (nx or xx or keepttl or get):
                return self._command(("SET", name, value), is_ok)
            words: list[Any] = ["SET", name, value]
        else:
            one_of(ex=ex, px=px, exat=exat, pxat=pxat, keepttl=keepttl)
            words = ["SET", name, value, *expiry(ex, px, exat, pxat)]
        one_of(nx=nx, xx=xx)
        words += flagged(NX=nx, XX=xx, KEEPTTL=keepttl, GET=get)
        return self._command(tuple(words), None if get else ok_or_none)

    def getex(
        self,
        name: Key,
        ex: int | timedelta | None = None,
        px: int | timedelta | None = None,
        exat: int | datetime | None = None,
        pxat: int | datetime | None = None,
        persist: bool = False,
    ) -> Awaitable[Any]:
        """The value, whose time of expiry is changed."""
        one_of(ex=ex, px=px, exat=exat, pxat=pxat, persist=persist)
        tail = ("PERSIST",) if persist else expiry(ex, px, exat, pxat)
        return self._command(("GETEX", name, *tail))

    def getdel(self, name: Key) -> Awaitable[Any]:
        """The value, which is deleted."""
        return self._command(("GETDEL", name))

    def getset(self, name: Key, value: Value) -> Awaitable[Any]:
        """The old value, in whose place comes the new one."""
        return self._command(("GETSET", name, value))

    def setex(self, name: Key, time: int | timedelta, value: Value) -> Awaitable[bool]:
        """Sets it, to expire after seconds."""
        return self._command(("SETEX", name, whole_seconds(time), value), is_ok)

    def psetex(self, name: Key, time_ms: int | timedelta, value: Value) -> Awaitable[bool]:
        """Sets it, to expire after milliseconds."""
        return self._command(("PSETEX", name, whole_milliseconds(time_ms), value), is_ok)

    def setnx(self, name: Key, value: Value) -> Awaitable[bool]:
        """Sets it where there is none."""
        return self._command(("SETNX", name, value), bool)

    def mget(self, keys: Keys, *args: Key) -> Awaitable[list[Any]]:
        """The values of several keys."""
        # Of no keys it is an error; an empty list has its place in a pipeline too.
        words = ("MGET", *several(keys, args))
        return self._command(words if len(words) > 1 else _NOTHING, None, True)

    def mset(self, mapping: Mapping[Any, Value]) -> Awaitable[bool]:
        """Sets several at once."""
        return self._command(("MSET", *pairs(mapping)), is_ok)

    def msetnx(self, mapping: Mapping[Any, Value]) -> Awaitable[bool]:
        """Sets several, where none of them exists."""
        return self._command(("MSETNX", *pairs(mapping)), bool)

    def append(self, key: Key, value: Value) -> Awaitable[int]:
        """Puts more behind it; gives its length."""
        return self._command(("APPEND", key, value))

    def strlen(self, name: Key) -> Awaitable[int]:
        """Octets of the value."""
        return self._command(("STRLEN", name), None, True)

    def getrange(self, key: Key, start: int, end: int) -> Awaitable[Any]:
        """A part of the value, `end` included."""
        return self._command(("GETRANGE", key, start, end), None, True)

    def substr(self, name: Key, start: int, end: int = -1) -> Awaitable[Any]:
        """An old name of `getrange`."""
        return self._command(("SUBSTR", name, start, end), None, True)

    def setrange(self, name: Key, offset: int, value: Value) -> Awaitable[int]:
        """Overwrites a part."""
        return self._command(("SETRANGE", name, offset, value))

    def incr(self, name: Key, amount: int = 1) -> Awaitable[int]:
        """Counts up; gives the new number."""
        return self.incrby(name, amount)

    def incrby(self, name: Key, amount: int = 1) -> Awaitable[int]:
        """The same."""
        return self._command(("INCRBY", name, amount))

    def incrbyfloat(self, name: Key, amount: float = 1.0) -> Awaitable[float]:
        """Counts up by a fraction."""
        return self._command(("INCRBYFLOAT", name, amount), number)

    def decr(self, name: Key, amount: int = 1) -> Awaitable[int]:
        """Counts down."""
        return self.decrby(name, amount)

    def decrby(self, name: Key, amount: int = 1) -> Awaitable[int]:
        """The same."""
        return self._command(("DECRBY", name, amount))

    def lcs(
        self,
        key1: Key,
        key2: Key,
        len: bool | None = False,
        idx: bool | None = False,
        minmatchlen: int | None = 0,
        withmatchlen: bool | None = False,
    ) -> Awaitable[Any]:
        """The longest common subsequence."""
        words: list[Any] = ["LCS", key1, key2]
        words += flagged(LEN=len, IDX=idx)
        if minmatchlen:
            words += ["MINMATCHLEN", minmatchlen]
        if withmatchlen:
            words.append("WITHMATCHLEN")
        flat = _flat if idx else None
        return self._command(tuple(words), flat, True)

    def setbit(self, name: Key, offset: int, value: int) -> Awaitable[int]:
        """Sets a bit; gives the old one."""
        return self._command(("SETBIT", name, offset, 1 if value else 0))

    def getbit(self, name: Key, offset: int) -> Awaitable[int]:
        """A bit."""
        return self._command(("GETBIT", name, offset), None, True)

    def bitcount(
        self, key: Key, start: int | None = None, end: int | None = None, mode: str | None = None
    ) -> Awaitable[int]:
        """Bits that are set, in octets (or with `mode="BIT"` bits) from start to end."""
        if (start is None) != (end is None):
            raise Misused("both start and end, or none of them")
        span: list[Any] = [] if start is None else [start, end]
        if mode is not None:
            span.append(mode)
        return self._command(("BITCOUNT", key, *span), None, True)

    def bitop(self, operation: str, dest: Key, *keys: Key) -> Awaitable[int]:
        """AND, OR, XOR or NOT of strings, stored."""
        return self._command(("BITOP", operation, dest, *keys))

    def bitpos(
        self,
        key: Key,
        bit: int,
        start: int | None = None,
        end: int | None = None,
        mode: str | None = None,
    ) -> Awaitable[int]:
        """The first bit that is 0 or 1."""
        if bit not in (0, 1):
            raise Misused("bit must be 0 or 1")
        if start is None and end is not None:
            raise Misused("start argument is not set, when end is specified")
        tail: list[Any] = [] if start is None else [start]
        if end is not None:
            tail.append(end)
        if mode is not None:
            tail.append(mode)
        return self._command(("BITPOS", key, bit, *tail), None, True)


def expiry(
    ex: int | timedelta | None,
    px: int | timedelta | None,
    exat: int | datetime | None,
    pxat: int | datetime | None,
) -> tuple[Any, ...]:
    """The words that say when."""
    if ex is not None:
        return "EX", whole_seconds(ex)
    if px is not None:
        return "PX", whole_milliseconds(px)
    if exat is not None:
        return "EXAT", at_seconds(exat)
    if pxat is not None:
        return "PXAT", at_milliseconds(pxat)
    return ()


def _flat(reply: Any) -> list[Any]:
    """RESP2's shape of LCS IDX, which redis-py gives."""
    return [word for pair in as_dict(reply).items() for word in pair]
