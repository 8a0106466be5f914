"""The server: whether it is there, what it holds, what it says about itself."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Any

from megahertz.backends.redis.commands.words import Asks, Key, Value, is_ok, named, text


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

    def client_pause(self, timeout: int, all: bool = True) -> Awaitable[bool]:
        """The server keeps clients (or only writers) waiting for milliseconds."""
        return self._command(("CLIENT", "PAUSE", timeout, "ALL" if all else "WRITE"), is_ok)

    def client_unpause(self) -> Awaitable[Any]:
        """It goes on."""
        return self._command(("CLIENT", "UNPAUSE"))

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
