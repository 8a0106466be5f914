"""Streams: entries that stay, read by groups of consumers."""

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from megahertz.backends.redis.commands.entries import (
    autoclaimed,
    claimed,
    consumers,
    details,
    entries,
    read,
    stream,
    waiting,
)
from megahertz.backends.redis.commands.words import Asks, Key, Value, flagged, is_ok, pairs
from megahertz.errors import Misused

Id = str | bytes | int


class Streams(Asks):
    """XADD, XREADGROUP and their kin."""

    def xadd(
        self,
        name: Key,
        fields: Mapping[Any, Value],
        id: Id = "*",
        maxlen: int | None = None,
        approximate: bool = True,
        nomkstream: bool = False,
        minid: Id | None = None,
        limit: int | None = None,
    ) -> Awaitable[Any]:
        """Puts an entry at the end, and gives its id.

        Args:
            maxlen: entries to keep, about; `minid`: the oldest id to keep.
        """
        if not fields:
            raise Misused("xadd: no fields")
        trim = _trim(maxlen, minid, approximate, limit)
        words = ("XADD", name, *flagged(NOMKSTREAM=nomkstream), *trim, id, *pairs(fields))
        return self._command(words)

    def xlen(self, name: Key) -> Awaitable[int]:
        """How many entries it has."""
        return self._command(("XLEN", name), None, True)

    def xrange(
        self, name: Key, min: Id = "-", max: Id = "+", count: int | None = None
    ) -> Awaitable[list[Any]]:
        """Entries, `(id, fields)`, the oldest first."""
        return self._command(("XRANGE", name, min, max, *_count(count)), entries, True)

    def xrevrange(
        self, name: Key, max: Id = "+", min: Id = "-", count: int | None = None
    ) -> Awaitable[list[Any]]:
        """The newest first."""
        return self._command(("XREVRANGE", name, max, min, *_count(count)), entries, True)

    def xdel(self, name: Key, *ids: Id) -> Awaitable[int]:
        """Deletes entries."""
        return self._command(("XDEL", name, *ids))

    def xtrim(
        self,
        name: Key,
        maxlen: int | None = None,
        approximate: bool = True,
        minid: Id | None = None,
        limit: int | None = None,
    ) -> Awaitable[int]:
        """Deletes the oldest; gives how many."""
        if maxlen is None and minid is None:
            raise Misused("xtrim: either maxlen or minid")
        return self._command(("XTRIM", name, *_trim(maxlen, minid, approximate, limit)))

    def xread(
        self, streams: Mapping[Any, Id], count: int | None = None, block: int | None = None
    ) -> Awaitable[list[Any]]:
        """`[[stream, entries]]` behind these ids; `block`: wait for some, so many milliseconds."""
        words = ["XREAD", *_block(block), *_count(count), *_streams(streams)]
        if block is None:
            return self._command(tuple(words), read, True)
        return self._blocking(tuple(words), read, block / 1000)

    def xreadgroup(
        self,
        groupname: Key,
        consumername: Key,
        streams: Mapping[Any, Id],
        count: int | None = None,
        block: int | None = None,
        noack: bool = False,
    ) -> Awaitable[list[Any]]:
        """The same as one consumer of a group; id `>`: what no other has got."""
        words = ["XREADGROUP", "GROUP", groupname, consumername, *_count(count), *_block(block)]
        words += [*flagged(NOACK=noack), *_streams(streams)]
        if block is None:
            return self._command(tuple(words), read)
        return self._blocking(tuple(words), read, block / 1000)

    def xack(self, name: Key, groupname: Key, *ids: Id) -> Awaitable[int]:
        """Says that entries have been dealt with."""
        return self._command(("XACK", name, groupname, *ids))

    def xgroup_create(
        self,
        name: Key,
        groupname: Key,
        id: Id = "$",
        mkstream: bool = False,
        entries_read: int | None = None,
    ) -> Awaitable[bool]:
        """A group that begins behind an id."""
        words: list[Any] = ["XGROUP", "CREATE", name, groupname, id, *flagged(MKSTREAM=mkstream)]
        if entries_read is not None:
            words += ["ENTRIESREAD", entries_read]
        return self._command(tuple(words), is_ok)

    def xgroup_destroy(self, name: Key, groupname: Key) -> Awaitable[bool]:
        """Ends a group."""
        return self._command(("XGROUP", "DESTROY", name, groupname), bool)

    def xgroup_setid(
        self, name: Key, groupname: Key, id: Id, entries_read: int | None = None
    ) -> Awaitable[bool]:
        """It goes on behind another id."""
        tail = [] if entries_read is None else ["ENTRIESREAD", entries_read]
        return self._command(("XGROUP", "SETID", name, groupname, id, *tail), is_ok)

    def xgroup_createconsumer(self, name: Key, groupname: Key, consumername: Key) -> Awaitable[int]:
        """Makes a consumer known."""
        return self._command(("XGROUP", "CREATECONSUMER", name, groupname, consumername))

    def xgroup_delconsumer(self, name: Key, groupname: Key, consumername: Key) -> Awaitable[int]:
        """Forgets a consumer, and what it has not acknowledged; gives how many that are."""
        return self._command(("XGROUP", "DELCONSUMER", name, groupname, consumername))

    def xpending(self, name: Key, groupname: Key) -> Awaitable[dict[str, Any]]:
        """What a group has got and not acknowledged, in short."""
        return self._command(("XPENDING", name, groupname), waiting, True)

    def xpending_range(
        self,
        name: Key,
        groupname: Key,
        min: Id,
        max: Id,
        count: int,
        consumername: Key | None = None,
        idle: int | None = None,
    ) -> Awaitable[list[dict[str, Any]]]:
        """The same, entry by entry."""
        words: list[Any] = ["XPENDING", name, groupname]
        words += [] if idle is None else ["IDLE", idle]
        words += [min, max, count, *([] if consumername is None else [consumername])]
        return self._command(tuple(words), details, True)

    def xclaim(
        self,
        name: Key,
        groupname: Key,
        consumername: Key,
        min_idle_time: int,
        message_ids: Iterable[Id],
        idle: int | None = None,
        time: int | None = None,
        retrycount: int | None = None,
        force: bool = False,
        justid: bool = False,
    ) -> Awaitable[list[Any]]:
        """Takes entries over that somebody has had for so many milliseconds."""
        ids = list(message_ids)
        if not ids:
            raise Misused("xclaim: no ids")
        words: list[Any] = ["XCLAIM", name, groupname, consumername, min_idle_time, *ids]
        for flag, given in (("IDLE", idle), ("TIME", time), ("RETRYCOUNT", retrycount)):
            words += [] if given is None else [flag, given]
        words += flagged(FORCE=force, JUSTID=justid)
        return self._command(tuple(words), None if justid else claimed)

    def xautoclaim(
        self,
        name: Key,
        groupname: Key,
        consumername: Key,
        min_idle_time: int,
        start_id: Id = "0-0",
        count: int | None = None,
        justid: bool = False,
    ) -> Awaitable[list[Any]]:
        """Takes over what anybody has had for so long: where to go on, entries, deleted ids."""
        words = ("XAUTOCLAIM", name, groupname, consumername, min_idle_time, start_id)
        tail = (*_count(count), *flagged(JUSTID=justid))
        convert = (lambda reply: reply[1]) if justid else autoclaimed
        return self._command((*words, *tail), convert)

    def xinfo_stream(self, name: Key, full: bool = False) -> Awaitable[dict[str, Any]]:
        """What there is to know about it."""
        words = ("XINFO", "STREAM", name, *flagged(FULL=full))
        return self._command(words, lambda reply: stream(reply, full), True)

    def xinfo_groups(self, name: Key) -> Awaitable[list[dict[str, Any]]]:
        """Its groups."""
        return self._command(("XINFO", "GROUPS", name), consumers, True)

    def xinfo_consumers(self, name: Key, groupname: Key) -> Awaitable[list[dict[str, Any]]]:
        """The consumers of a group."""
        return self._command(("XINFO", "CONSUMERS", name, groupname), consumers, True)


def _count(count: int | None) -> list[Any]:
    if count is None:
        return []
    if not isinstance(count, int) or count < 1:
        raise Misused("count must be a positive integer")
    return ["COUNT", count]


def _block(block: int | None) -> list[Any]:
    if block is None:
        return []
    if not isinstance(block, int) or block < 0:
        raise Misused("block must be a non-negative integer")
    return ["BLOCK", block]


def _streams(streams: Mapping[Any, Id]) -> list[Any]:
    if not streams:
        raise Misused("no streams to read")
    return ["STREAMS", *streams, *streams.values()]


def _trim(maxlen: int | None, minid: Id | None, approximate: bool, limit: int | None) -> list[Any]:
    if maxlen is not None and minid is not None:
        raise Misused("Only one of maxlen and minid may be given")
    if maxlen is not None and (not isinstance(maxlen, int) or maxlen < 0):
        raise Misused("maxlen must be non-negative integer")
    if maxlen is None and minid is None:
        return []
    bound = ["MAXLEN", maxlen] if maxlen is not None else ["MINID", minid]
    words = [bound[0], *(["~"] if approximate else []), bound[1]]
    return words if limit is None else [*words, "LIMIT", limit]
