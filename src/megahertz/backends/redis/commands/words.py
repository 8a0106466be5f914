"""What commands are made of: the one call below all of them, and how replies become values."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from megahertz.errors import Misused

Key = str | bytes | memoryview
Value = str | bytes | bytearray | memoryview | int | float
Words = tuple[Any, ...]
Convert = Callable[[Any], Any]
Keys = Key | Iterable[Key]


class Command(Protocol):
    """How a command is asked: as `Link.command`."""

    def __call__(
        self,
        words: Words,
        convert: Convert | None = None,
        repeat: bool = False,
        timeout: float | None = None,
        raw: bool = False,
        /,
    ) -> Awaitable[Any]: ...


class Asks:
    """Sends a command, or has it sent with others: a client does one, a pipeline the other."""

    _command: Command

    def _blocking(self, words: Words, convert: Convert | None, seconds: float) -> Awaitable[Any]:
        """A command that the server answers when it likes; 0 seconds: at any time."""
        raise NotImplementedError


def several(first: Keys, rest: Iterable[Key] = ()) -> list[Any]:
    """Keys as redis-py takes them: one, several, or one iterable of them."""
    if isinstance(first, (str, bytes, bytearray, memoryview, int, float)):
        return [first, *rest]
    return [*first, *rest]


def flagged(**flags: Any) -> list[str]:
    """The names of those that are on."""
    return [name for name, on in flags.items() if on]


def pairs(mapping: Mapping[Any, Any]) -> list[Any]:
    """Keys and values in turn."""
    return [word for pair in mapping.items() for word in pair]


def is_ok(reply: Any) -> bool:
    """A status that says that it was done."""
    return reply in (b"OK", "OK")


def ok_or_none(reply: Any) -> bool | None:
    """True, or None where a condition was not met."""
    return None if reply is None else is_ok(reply)


def number(reply: Any) -> float | None:
    """A double, which RESP2 has as a string."""
    return None if reply is None else float(reply)


def text(reply: Any) -> str:
    """A string, whether or not the client decodes."""
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)


def as_dict(reply: Any) -> dict[Any, Any]:
    """A map, which RESP2 has as a list of keys and values in turn."""
    if isinstance(reply, dict):
        return reply
    return {} if not reply else dict(zip(reply[::2], reply[1::2], strict=True))


def named(reply: Any) -> dict[str, Any]:
    """The same, with keys that are `str`."""
    return {text(name): value for name, value in as_dict(reply).items()}


def as_set(reply: Any) -> set[Any]:
    """A set, which comes as a list."""
    return set(reply or ())


def whole_milliseconds(value: float | timedelta) -> int:
    """A duration for PX and PEXPIRE."""
    if isinstance(value, timedelta):
        return int(value.total_seconds() * 1000)
    return int(value)


def whole_seconds(value: int | timedelta) -> int:
    """A duration for EX and EXPIRE."""
    return int(value.total_seconds()) if isinstance(value, timedelta) else int(value)


def at_seconds(value: int | datetime) -> int:
    """A time for EXAT and EXPIREAT."""
    return int(value.timestamp()) if isinstance(value, datetime) else int(value)


def at_milliseconds(value: int | datetime) -> int:
    """A time for PXAT and PEXPIREAT."""
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else int(value)


def one_of(**flags: Any) -> None:
    """At most one of these may be given.

    Raises:
        Misused: two are.
    """
    given = [name for name, value in flags.items() if value is not None and value is not False]
    if len(given) > 1:
        raise Misused(f"{' and '.join(given)} exclude each other")
