"""Whose rate a limit is."""

from collections.abc import Callable
from typing import Any

from megahertz.errors import BadSettings, Misused

Key = str | Callable[..., str] | None
"""None is everybody's together; "client", "header:<name>" and "path:<parameter>" are read from a
request; a function gets the request, or the arguments of the call that is guarded."""


def check(key: Key, where: str) -> None:
    """Refuses what is none.

    Raises:
        BadSettings: it is not.
    """
    if key is None or callable(key) or key == "client":
        return
    kind, _, name = key.partition(":")
    if kind not in ("header", "path") or not name:
        raise BadSettings(
            f'{where}(key={key!r}): None, "client", "header:<name>", "path:<parameter>" '
            f"or a function"
        )


def named(key: Key) -> str:
    """For people, and for the name of a cell: without an address in it."""
    return getattr(key, "__qualname__", type(key).__name__) if callable(key) else repr(key)


def of_call(key: Key, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The key of a call that is guarded.

    Raises:
        Misused: the key is a request's.
    """
    if isinstance(key, str):
        raise Misused(f"key={key!r} is read from a request: around a call, give a function")
    return None if key is None else key(*args, **kwargs)
