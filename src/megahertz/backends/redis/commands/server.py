"""The server: whether it is there, what it holds, what it says about itself."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Any

from megahertz.backends.redis.commands.words import (
    Asks,
    Key,
    Value,
    as_dict,
    flagged,
    is_ok,
    named,
    text,
)
from megahertz.errors import Misused


class Server(Asks):
    """PING, INFO, CONFIG, CLIENT and their kin."""

    def ping(self) -> Awaitable[bool]:
        """Whether it answers."""
        return self._command(("PING",), _is_pong, True)

    def echo(self, value: Value) -> Awaitable[Any]:
        """The same back."""
        return self._command(("ECHO", value), None, True)

    def time(self) -> Awaitable[tuple[int, int]]:
        """Its clock: seconds since 1970, and microseconds."""
        return self._command(("TIME",), _time, True)

    def dbsize(self) -> Awaitable[int]:
        """How many keys there are."""
        return self._command(("DBSIZE",), None, True)

    def flushdb(self, asynchronous: bool = False) -> Awaitable[bool]:
        """Deletes all keys of this database."""
        return self._command(("FLUSHDB", *(("ASYNC",) if asynchronous else ())), is_ok)

    def flushall(self, asynchronous: bool = False) -> Awaitable[bool]:
        """Deletes all keys of all databases."""
        return self._command(("FLUSHALL", *(("ASYNC",) if asynchronous else ())), is_ok)

    def info(self, section: str | None = None, *args: str) -> Awaitable[dict[str, Any]]:
        """What it says about itself; numbers are numbers, lists of pairs are dicts."""
        return self._command(("INFO", *(() if section is None else (section, *args))), _info, True)

    def config_get(self, pattern: Key = "*", *args: Key) -> Awaitable[dict[str, Any]]:
        """Settings by name."""
        return self._command(("CONFIG", "GET", pattern, *args), _settings, True)

    def config_set(self, name: Key, value: Value, *args: Value) -> Awaitable[bool]:
        """Changes settings."""
        return self._command(("CONFIG", "SET", name, value, *args), is_ok)

    def config_resetstat(self) -> Awaitable[bool]:
        """Its counters begin at 0."""
        return self._command(("CONFIG", "RESETSTAT"), is_ok)

    def client_id(self) -> Awaitable[int]:
        """The number of the shared connection."""
        return self._command(("CLIENT", "ID"), None, True)

    def client_getname(self) -> Awaitable[Any]:
        """What the shared connection is called."""
        return self._command(("CLIENT", "GETNAME"), None, True)

    def client_list(self, _type: str | None = None) -> Awaitable[list[dict[str, str]]]:
        """Who is connected."""
        return self._command(("CLIENT", "LIST", *(("TYPE", _type) if _type else ())), _clients)

    def client_info(self) -> Awaitable[dict[str, str]]:
        """The same of the shared connection."""
        return self._command(("CLIENT", "INFO"), lambda reply: _clients(reply)[0])

    def client_kill(self, address: str) -> Awaitable[Any]:
        """Cuts somebody off."""
        return self._command(("CLIENT", "KILL", address), is_ok)

    def client_kill_filter(
        self,
        _id: str | None = None,
        _type: str | None = None,
        addr: str | None = None,
        skipme: bool | None = None,
        laddr: str | None = None,
        user: str | None = None,
        maxage: int | None = None,
    ) -> Awaitable[int]:
        """Cuts off all of a kind; gives how many. `skipme` off: this one too."""
        if _type is not None and str(_type).lower() not in _KINDS:
            raise Misused(f"CLIENT KILL TYPE is one of {', '.join(_KINDS)}")
        if skipme not in (None, True, False):
            raise Misused("skipme is a bool")
        skips = None if skipme is None else "YES" if skipme else "NO"
        given: list[tuple[str, Any]] = [("TYPE", _type), ("SKIPME", skips), ("ID", _id)]
        given += [("ADDR", addr), ("LADDR", laddr), ("USER", user), ("MAXAGE", maxage)]
        words = [word for name, value in given if value is not None for word in (name, value)]
        if not words:
            raise Misused("CLIENT KILL by what?")
        return self._command(("CLIENT", "KILL", *words))

    def client_unblock(self, client_id: int, error: bool = False) -> Awaitable[bool]:
        """Ends what a client waits for, as if its time were over or with an error."""
        return self._command(("CLIENT", "UNBLOCK", int(client_id), *flagged(ERROR=error)), bool)

    def client_pause(self, timeout: int, all: bool = True) -> Awaitable[bool]:
        """The server keeps clients (or only writers) waiting for milliseconds."""
        return self._command(("CLIENT", "PAUSE", timeout, "ALL" if all else "WRITE"), is_ok)

    def client_unpause(self) -> Awaitable[Any]:
        """It goes on."""
        return self._command(("CLIENT", "UNPAUSE"))

    def slowlog_get(self, num: int | None = None) -> Awaitable[list[dict[str, Any]]]:
        """The commands that took longest lately; octets, since they may be anything."""
        words = ("SLOWLOG", "GET", *(() if num is None else (num,)))
        return self._command(words, _slow, True, None, True)

    def slowlog_len(self) -> Awaitable[int]:
        """How many are written down."""
        return self._command(("SLOWLOG", "LEN"), None, True)

    def slowlog_reset(self) -> Awaitable[bool]:
        """Forgets them."""
        return self._command(("SLOWLOG", "RESET"), is_ok)

    def memory_stats(self) -> Awaitable[dict[str, Any]]:
        """What memory is used for."""
        return self._command(("MEMORY", "STATS"), _statistics, True)

    def module_list(self) -> Awaitable[list[dict[str, Any]]]:
        """Modules that are loaded."""
        return self._command(("MODULE", "LIST"), lambda found: [*map(as_dict, found)], True)

    def role(self) -> Awaitable[list[Any]]:
        """Master, slave or sentinel, and with whom."""
        return self._command(("ROLE",), None, True)

    def save(self) -> Awaitable[bool]:
        """Writes all to disk, and answers nobody meanwhile."""
        return self._command(("SAVE",), is_ok)

    def bgsave(self, schedule: bool = True) -> Awaitable[bool]:
        """The same beside serving; `schedule`: later, where something else is written now."""
        said = lambda reply: text(reply).startswith("Background saving")  # noqa: E731
        return self._command(("BGSAVE", *flagged(SCHEDULE=schedule)), said)

    def lastsave(self) -> Awaitable[datetime]:
        """When it last saved, in local time."""
        return self._command(("LASTSAVE",), datetime.fromtimestamp, True)

    def memory_usage(self, key: Key, samples: int | None = None) -> Awaitable[int | None]:
        """Octets that a key takes."""
        tail = () if samples is None else ("SAMPLES", samples)
        return self._command(("MEMORY", "USAGE", key, *tail), None, True)

    def publish(self, channel: Key, message: Value) -> Awaitable[int]:
        """Sends to every subscriber; gives how many there are on this server."""
        return self._command(("PUBLISH", channel, message))

    def spublish(self, shard_channel: Key, message: Value) -> Awaitable[int]:
        """The same within the shard of a cluster."""
        return self._command(("SPUBLISH", shard_channel, message))

    def pubsub_channels(self, pattern: Key = "*") -> Awaitable[list[Any]]:
        """Channels that have subscribers."""
        return self._command(("PUBSUB", "CHANNELS", pattern), None, True)

    def pubsub_numsub(self, *args: Key) -> Awaitable[list[tuple[Any, int]]]:
        """How many subscribers channels have."""
        return self._command(("PUBSUB", "NUMSUB", *args), _counts, True)

    def pubsub_numpat(self) -> Awaitable[int]:
        """How many patterns are subscribed to."""
        return self._command(("PUBSUB", "NUMPAT"), None, True)


_KINDS = ("normal", "master", "slave", "replica", "pubsub")


def _slow(reply: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": entry[0],
            "start_time": int(entry[1]),
            "duration": int(entry[2]),
            "command": b" ".join(entry[3]),
            "client_address": entry[4],
            "client_name": entry[5],
        }
        for entry in reply
    ]


def _statistics(reply: Any) -> dict[str, Any]:
    """Pairs of pairs, which RESP2 has as lists."""
    return {
        name: named(value) if name.startswith("db.") else value
        for name, value in named(reply).items()
    }


def _is_pong(reply: Any) -> bool:
    return text(reply) == "PONG"


def _time(reply: Any) -> tuple[int, int]:
    return int(reply[0]), int(reply[1])


def _settings(reply: Any) -> dict[str, Any]:
    return {name: text(value) for name, value in named(reply).items()}


def _counts(reply: Any) -> list[tuple[Any, int]]:
    found = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return [(name, int(count)) for name, count in found]


def _clients(reply: Any) -> list[dict[str, str]]:
    lines = text(reply).splitlines()
    return [dict(pair.split("=", 1) for pair in line.split(" ") if "=" in pair) for line in lines]


def _info(reply: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in text(reply).splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            found[name] = _value(value)
    return found


def _value(value: str) -> Any:
    if ("=" in value and "," in value) or ("=" in value and value.count("=") == 1):
        pairs = [part.split("=", 1) for part in value.split(",") if "=" in part]
        return {name: _plain(each) for name, each in pairs}
    return _plain(value)


def _plain(value: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            pass
    return value
