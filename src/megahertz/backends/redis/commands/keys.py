"""Keys: whether they are, how long, and what they are called."""

from collections.abc import AsyncIterator, Awaitable
from datetime import datetime, timedelta
from typing import Any

from megahertz.backends.redis.commands.words import (
    Asks,
    Key,
    Keys,
    at_milliseconds,
    at_seconds,
    flagged,
    is_ok,
    several,
    text,
    whole_milliseconds,
    whole_seconds,
)
from megahertz.errors import Misused


class Keyspace(Asks):
    """DEL, EXPIRE, SCAN and their kin."""

    def delete(self, *names: Key) -> Awaitable[int]:
        """Deletes keys; gives how many there were."""
        return self._command(("DEL", *names))

    def unlink(self, *names: Key) -> Awaitable[int]:
        """The same; the server frees them later."""
        return self._command(("UNLINK", *names))

    def exists(self, *names: Key) -> Awaitable[int]:
        """How many of them there are."""
        return self._command(("EXISTS", *names), None, True)

    def touch(self, *args: Key) -> Awaitable[int]:
        """Counts as a use of them."""
        return self._command(("TOUCH", *args))

    def expire(
        self,
        name: Key,
        time: int | timedelta,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Awaitable[bool]:
        """It expires after seconds; False where a condition forbids that, or there is none."""
        return self._command(
            ("EXPIRE", name, whole_seconds(time), *flagged(NX=nx, XX=xx, GT=gt, LT=lt)), bool
        )

    def pexpire(
        self,
        name: Key,
        time: int | timedelta,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Awaitable[bool]:
        """After milliseconds."""
        return self._command(
            ("PEXPIRE", name, whole_milliseconds(time), *flagged(NX=nx, XX=xx, GT=gt, LT=lt)), bool
        )

    def expireat(
        self,
        name: Key,
        when: int | datetime,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Awaitable[bool]:
        """At a time, seconds since 1970."""
        return self._command(
            ("EXPIREAT", name, at_seconds(when), *flagged(NX=nx, XX=xx, GT=gt, LT=lt)), bool
        )

    def pexpireat(
        self,
        name: Key,
        when: int | datetime,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Awaitable[bool]:
        """At a time, milliseconds since 1970."""
        flags = flagged(NX=nx, XX=xx, GT=gt, LT=lt)
        return self._command(("PEXPIREAT", name, at_milliseconds(when), *flags), bool)

    def persist(self, name: Key) -> Awaitable[bool]:
        """It does not expire any more."""
        return self._command(("PERSIST", name), bool)

    def ttl(self, name: Key) -> Awaitable[int]:
        """Seconds that it has; -1: it does not expire; -2: there is none."""
        return self._command(("TTL", name), None, True)

    def pttl(self, name: Key) -> Awaitable[int]:
        """Milliseconds."""
        return self._command(("PTTL", name), None, True)

    def expiretime(self, key: Key) -> Awaitable[int]:
        """When, in seconds since 1970."""
        return self._command(("EXPIRETIME", key), None, True)

    def pexpiretime(self, key: Key) -> Awaitable[int]:
        """When, in milliseconds."""
        return self._command(("PEXPIRETIME", key), None, True)

    def type(self, name: Key) -> Awaitable[Any]:
        """`string`, `hash`, ...; `none` where there is none."""
        return self._command(("TYPE", name), None, True)

    def rename(self, src: Key, dst: Key) -> Awaitable[bool]:
        """Gives it another name, in place of who had it."""
        return self._command(("RENAME", src, dst), is_ok)

    def renamenx(self, src: Key, dst: Key) -> Awaitable[bool]:
        """Where nobody has it."""
        return self._command(("RENAMENX", src, dst), bool)

    def copy(
        self,
        source: Key,
        destination: Key,
        destination_db: int | None = None,
        replace: bool = False,
    ) -> Awaitable[bool]:
        """A second key with the same value."""
        words: list[Any] = ["COPY", source, destination]
        if destination_db is not None:
            words += ["DB", destination_db]
        if replace:
            words.append("REPLACE")
        return self._command(tuple(words), bool)

    def move(self, name: Key, db: int) -> Awaitable[bool]:
        """Into another database."""
        return self._command(("MOVE", name, db), bool)

    def keys(self, pattern: Key = "*") -> Awaitable[list[Any]]:
        """All that match; on a large database the server does nothing else meanwhile."""
        return self._command(("KEYS", pattern), None, True)

    def randomkey(self) -> Awaitable[Any]:
        """One of them."""
        return self._command(("RANDOMKEY",), None, True)

    def scan(
        self,
        cursor: int = 0,
        match: Key | None = None,
        count: int | None = None,
        _type: str | None = None,
    ) -> Awaitable[tuple[int, list[Any]]]:
        """The next cursor, and some keys."""
        words = ["SCAN", cursor, *scan_words(match, count)]
        if _type is not None:
            words += ["TYPE", _type]
        return self._command(tuple(words), scanned, True)

    async def scan_iter(
        self, match: Key | None = None, count: int | None = None, _type: str | None = None
    ) -> AsyncIterator[Any]:
        """All keys that are there the whole time, some more than once."""
        cursor = -1
        while cursor != 0:
            cursor, found = await self.scan(max(cursor, 0), match, count, _type)
            for key in found:
                yield key

    def dump(self, name: Key) -> Awaitable[bytes | None]:
        """The value as `restore` takes it."""
        return self._command(("DUMP", name), None, True, None, True)

    def restore(
        self,
        name: Key,
        ttl: int,
        value: bytes,
        replace: bool = False,
        absttl: bool = False,
        idletime: int | None = None,
        frequency: int | None = None,
    ) -> Awaitable[Any]:
        """A key from what `dump` gave; `ttl` in milliseconds, 0: for ever."""
        words: list[Any] = ["RESTORE", name, ttl, value]
        words += flagged(REPLACE=replace, ABSTTL=absttl)
        for flag, given in (("IDLETIME", idletime), ("FREQ", frequency)):
            if given is not None:
                words += [flag, int(given)]
        return self._command(tuple(words))

    def object(self, infotype: str, key: Key) -> Awaitable[Any]:
        """How it is kept: `ENCODING`, `REFCOUNT`, `IDLETIME`, `FREQ`."""
        return self._command(("OBJECT", infotype, key), None, True)

    def sort(
        self,
        name: Key,
        start: int | None = None,
        num: int | None = None,
        by: Key | None = None,
        get: Keys | None = None,
        desc: bool = False,
        alpha: bool = False,
        store: Key | None = None,
        groups: bool | None = False,
    ) -> Awaitable[Any]:
        """Members of a list or set in order; with `groups`, tuples of what `get` names."""
        if (start is None) != (num is None):
            raise Misused("start and num are given together")
        words: list[Any] = ["SORT", name]
        if by is not None:
            words += ["BY", by]
        if start is not None:
            words += ["LIMIT", start, num]
        wanted = [] if get is None else several(get)
        words += [word for pattern in wanted for word in ("GET", pattern)]
        words += flagged(DESC=desc, ALPHA=alpha)
        if store is not None:
            words += ["STORE", store]
        if groups and len(wanted) < 2:
            raise Misused("groups needs several patterns in get")
        width = len(wanted) if groups else 0
        return self._command(tuple(words), (lambda found: _grouped(found, width)), store is None)

    def wait(self, num_replicas: int, timeout: int) -> Awaitable[int]:
        """How many replicas have what was written so far, within milliseconds."""
        return self._blocking(("WAIT", num_replicas, timeout), None, timeout / 1000)


def _grouped(found: Any, width: int) -> Any:
    if not width or not isinstance(found, list):
        return found
    return [tuple(found[at : at + width]) for at in range(0, len(found), width)]


def scan_words(match: Key | None, count: int | None) -> list[Any]:
    """What all scans may say."""
    words: list[Any] = [] if match is None else ["MATCH", match]
    return words if count is None else [*words, "COUNT", count]


def scanned(reply: Any) -> tuple[int, list[Any]]:
    """A cursor and what was found."""
    return int(text(reply[0])), reply[1]
