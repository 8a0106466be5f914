"""Sets, and HyperLogLogs, which only know how many."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any

from megahertz.backends.redis.commands.keys import scan_words, scanned
from megahertz.backends.redis.commands.words import (
    Asks,
    Key,
    Keys,
    Value,
    as_set,
    is_ok,
    several,
)


class Sets(Asks):
    """SADD, SMEMBERS, PFADD and their kin."""

    def sadd(self, name: Key, *values: Value) -> Awaitable[int]:
        """Adds members; gives how many are new."""
        return self._command(("SADD", name, *values))

    def srem(self, name: Key, *values: Value) -> Awaitable[int]:
        """Removes members; gives how many there were."""
        return self._command(("SREM", name, *values))

    def smembers(self, name: Key) -> Awaitable[Any]:
        """All of them, a set."""
        return self._command(("SMEMBERS", name), as_set, True)

    def sismember(self, name: Key, value: Value) -> Awaitable[int]:
        """Whether it is one, 1 or 0."""
        return self._command(("SISMEMBER", name, value), None, True)

    def smismember(self, name: Key, values: Keys, *args: Key) -> Awaitable[list[int]]:
        """The same of several."""
        return self._command(("SMISMEMBER", name, *several(values, args)), None, True)

    def scard(self, name: Key) -> Awaitable[int]:
        """How many there are."""
        return self._command(("SCARD", name), None, True)

    def spop(self, name: Key, count: int | None = None) -> Awaitable[Any]:
        """Takes one, or a list of some."""
        return self._command(("SPOP", name, *(() if count is None else (count,))))

    def srandmember(self, name: Key, number: int | None = None) -> Awaitable[Any]:
        """One, or a list of some (negative: some of them more than once)."""
        return self._command(
            ("SRANDMEMBER", name, *(() if number is None else (number,))), None, True
        )

    def smove(self, src: Key, dst: Key, value: Value) -> Awaitable[bool]:
        """From one set to another."""
        return self._command(("SMOVE", src, dst, value), bool)

    def sdiff(self, keys: Keys, *args: Key) -> Awaitable[Any]:
        """What is in the first and in none of the others, a set."""
        return self._command(("SDIFF", *several(keys, args)), as_set, True)

    def sinter(self, keys: Keys, *args: Key) -> Awaitable[Any]:
        """What is in all."""
        return self._command(("SINTER", *several(keys, args)), as_set, True)

    def sunion(self, keys: Keys, *args: Key) -> Awaitable[Any]:
        """What is in any."""
        return self._command(("SUNION", *several(keys, args)), as_set, True)

    def sdiffstore(self, dest: Key, keys: Keys, *args: Key) -> Awaitable[int]:
        """`sdiff`, kept; gives how many."""
        return self._command(("SDIFFSTORE", dest, *several(keys, args)))

    def sinterstore(self, dest: Key, keys: Keys, *args: Key) -> Awaitable[int]:
        """`sinter`, kept."""
        return self._command(("SINTERSTORE", dest, *several(keys, args)))

    def sunionstore(self, dest: Key, keys: Keys, *args: Key) -> Awaitable[int]:
        """`sunion`, kept."""
        return self._command(("SUNIONSTORE", dest, *several(keys, args)))

    def sintercard(self, numkeys: int, keys: Keys, limit: int = 0) -> Awaitable[int]:
        """How many are in all, counted up to a limit."""
        return self._command(("SINTERCARD", numkeys, *several(keys), "LIMIT", limit), None, True)

    def sscan(
        self, name: Key, cursor: int = 0, match: Key | None = None, count: int | None = None
    ) -> Awaitable[tuple[int, list[Any]]]:
        """The next cursor, and some members."""
        return self._command(("SSCAN", name, cursor, *scan_words(match, count)), scanned, True)

    async def sscan_iter(
        self, name: Key, match: Key | None = None, count: int | None = None
    ) -> AsyncIterator[Any]:
        """All members."""
        cursor = -1
        while cursor != 0:
            cursor, found = await self.sscan(name, max(cursor, 0), match, count)
            for member in found:
                yield member

    def pfadd(self, name: Key, *values: Value) -> Awaitable[int]:
        """Counts values; 1 where that changed something."""
        return self._command(("PFADD", name, *values))

    def pfcount(self, *sources: Key) -> Awaitable[int]:
        """About how many different ones there were (within 0.81 %)."""
        return self._command(("PFCOUNT", *sources), None, True)

    def pfmerge(self, dest: Key, *sources: Key) -> Awaitable[bool]:
        """The same of several together."""
        return self._command(("PFMERGE", dest, *sources), is_ok)
