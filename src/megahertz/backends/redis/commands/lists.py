"""Lists, and waiting for them to have something."""

from collections.abc import Awaitable
from typing import Any

from megahertz.backends.redis.commands.words import (
    Asks,
    Key,
    Keys,
    Value,
    is_ok,
    several,
)


class Lists(Asks):
    """LPUSH, BLPOP and their kin. A timeout of 0 or None waits for ever."""

    def lpush(self, name: Key, *values: Value) -> Awaitable[int]:
        """Puts values at the head; gives the length."""
        return self._command(("LPUSH", name, *values))

    def rpush(self, name: Key, *values: Value) -> Awaitable[int]:
        """At the tail."""
        return self._command(("RPUSH", name, *values))

    def lpushx(self, name: Key, *values: Value) -> Awaitable[int]:
        """At the head of a list that there is."""
        return self._command(("LPUSHX", name, *values))

    def rpushx(self, name: Key, *values: Value) -> Awaitable[int]:
        """At its tail."""
        return self._command(("RPUSHX", name, *values))

    def lpop(self, name: Key, count: int | None = None) -> Awaitable[Any]:
        """Takes the first, or the first few."""
        return self._command(("LPOP", name, *(() if count is None else (count,))))

    def rpop(self, name: Key, count: int | None = None) -> Awaitable[Any]:
        """Takes the last, or the last few."""
        return self._command(("RPOP", name, *(() if count is None else (count,))))

    def llen(self, name: Key) -> Awaitable[int]:
        """Its length."""
        return self._command(("LLEN", name), None, True)

    def lrange(self, name: Key, start: int, end: int) -> Awaitable[list[Any]]:
        """A part, `end` included; -1 is the last."""
        return self._command(("LRANGE", name, start, end), None, True)

    def lindex(self, name: Key, index: int) -> Awaitable[Any]:
        """One of them."""
        return self._command(("LINDEX", name, index), None, True)

    def lset(self, name: Key, index: int, value: Value) -> Awaitable[bool]:
        """Replaces one."""
        return self._command(("LSET", name, index, value), is_ok)

    def lrem(self, name: Key, count: int, value: Value) -> Awaitable[int]:
        """Removes the first `count` that are equal (negative: the last; 0: all)."""
        return self._command(("LREM", name, count, value))

    def ltrim(self, name: Key, start: int, end: int) -> Awaitable[bool]:
        """Keeps only a part."""
        return self._command(("LTRIM", name, start, end), is_ok)

    def linsert(self, name: Key, where: str, refvalue: Value, value: Value) -> Awaitable[int]:
        """Puts one BEFORE or AFTER another."""
        return self._command(("LINSERT", name, where, refvalue, value))

    def lpos(
        self,
        name: Key,
        value: Value,
        rank: int | None = None,
        count: int | None = None,
        maxlen: int | None = None,
    ) -> Awaitable[Any]:
        """Where it is; with `count` a list of places."""
        words: list[Any] = ["LPOS", name, value]
        for flag, given in (("RANK", rank), ("COUNT", count), ("MAXLEN", maxlen)):
            if given is not None:
                words += [flag, given]
        return self._command(tuple(words), None, True)

    def lmove(
        self, first_list: Key, second_list: Key, src: str = "LEFT", dest: str = "RIGHT"
    ) -> Awaitable[Any]:
        """Takes from an end of one and puts to an end of the other."""
        return self._command(("LMOVE", first_list, second_list, src, dest))

    def rpoplpush(self, src: Key, dst: Key) -> Awaitable[Any]:
        """From the tail of one to the head of the other."""
        return self._command(("RPOPLPUSH", src, dst))

    def lmpop(
        self, num_keys: int, *args: Key, direction: str, count: int | None = 1
    ) -> Awaitable[Any]:
        """Takes from the first list that has something: `[key, values]`."""
        return self._command(("LMPOP", num_keys, *args, direction, *flagged_count(count)))

    def blpop(self, keys: Keys, timeout: float | None = 0) -> Awaitable[Any]:
        """`(key, value)` of the first that has something; None after so many seconds."""
        waits = timeout or 0
        return self._blocking(("BLPOP", *several(keys), waits), _pair, waits)

    def brpop(self, keys: Keys, timeout: float | None = 0) -> Awaitable[Any]:
        """The same from the tail."""
        waits = timeout or 0
        return self._blocking(("BRPOP", *several(keys), waits), _pair, waits)

    def brpoplpush(self, src: Key, dst: Key, timeout: float | None = 0) -> Awaitable[Any]:
        """`rpoplpush`, once there is something."""
        return self._blocking(("BRPOPLPUSH", src, dst, timeout or 0), None, timeout or 0)

    def blmove(
        self,
        first_list: Key,
        second_list: Key,
        timeout: float,
        src: str = "LEFT",
        dest: str = "RIGHT",
    ) -> Awaitable[Any]:
        """`lmove`, once there is something."""
        return self._blocking(
            ("BLMOVE", first_list, second_list, src, dest, timeout), None, timeout
        )

    def blmpop(
        self, timeout: float, numkeys: int, *args: Key, direction: str, count: int | None = 1
    ) -> Awaitable[Any]:
        """`lmpop`, once there is something."""
        words = ("BLMPOP", timeout, numkeys, *args, direction)
        return self._blocking((*words, *flagged_count(count)), None, timeout)


def flagged_count(count: int | None) -> list[Any]:
    """COUNT, where it is not what it is anyway."""
    return [] if count in (None, 1) else ["COUNT", count]


def _pair(reply: Any) -> tuple[Any, ...] | None:
    return tuple(reply) if reply else None
