"""A pytest plug-in for redis-py's own tests: our client stands where its asyncio client was.

Loaded before their modules are (`-p redis_adapter`). Our errors are raised as theirs; replies,
arguments and everything else pass through as they are.
"""

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import redis.exceptions as theirs
from listed import mark

import megahertz.errors as ours
from megahertz.backends.redis import Lock, Pipeline, Redis, Script

KINDS = {
    "NOSCRIPT": theirs.NoScriptError,
    "NOPERM": theirs.NoPermissionError,
    "READONLY": theirs.ReadOnlyError,
    "LOADING": theirs.BusyLoadingError,
    "EXECABORT": theirs.ExecAbortError,
}
ERRORS = (
    (ours.CompareFailed, theirs.WatchError),
    (ours.LeaseLost, theirs.LockNotOwnedError),
    (ours.AlreadyHeld, theirs.LockError),
    (ours.ReadError, theirs.TimeoutError),
    (ours.BackendError, theirs.ConnectionError),
    (TypeError, theirs.DataError),
)


def reply_error(error: ours.ReplyError) -> Exception:
    """They cut the prefix ERR, and those of errors that have a class; a pipeline's come first."""
    kind = error.kind
    text = str(error).removeprefix(f"{kind} ") if kind in ("ERR", *KINDS) else str(error)
    found = re.fullmatch(r"(.*) \(command (\d+) of the pipeline: (.*)\)", text, re.DOTALL)
    if found:
        text = f"Command # {found[2]} ({found[3]}) of pipeline caused error: {found[1]}"
    return KINDS.get(kind, theirs.ResponseError)(text)


@contextmanager
def translated(mine: Any) -> Iterator[None]:
    """Our errors as theirs."""
    try:
        yield
    except ours.ReplyError as error:
        raise reply_error(error) from error
    except ours.Misused as error:
        their = theirs.LockError if isinstance(mine, Lock) else theirs.DataError
        raise their(str(error)) from error
    except tuple(mine for mine, _ in ERRORS) as error:
        their = next(their for mine, their in ERRORS if isinstance(error, mine))
        raise their(str(error)) from error


class Face:
    """One of ours, with their errors."""

    def __init__(self, mine: Any) -> None:
        self.__dict__["_mine"] = mine

    def __getattr__(self, name: str) -> Any:
        return self._faced(getattr(self._mine, name))

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._mine, name, value)

    def _faced(self, found: Any) -> Any:
        if found is self._mine:
            return self
        if isinstance(found, (Lock, Pipeline, Script)):
            return Face(found)
        if inspect.ismethod(found) or inspect.isbuiltin(found):
            return lambda *args, **options: self._called(found, args, options)
        if isinstance(found, list):
            return [reply_error(e) if isinstance(e, ours.ReplyError) else e for e in found]
        return self._awaited(found) if inspect.isawaitable(found) else found

    def _called(self, call: Any, args: Any, options: Any) -> Any:
        with translated(self._mine):
            return self._faced(call(*map(_bare, args), **{k: _bare(v) for k, v in options.items()}))

    async def _awaited(self, awaitable: Any) -> Any:
        with translated(self._mine):
            return self._faced(await awaitable)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._called(self._mine.__call__, args, options)

    def __await__(self) -> Any:
        yield from self._mine.__await__()
        return self

    def __len__(self) -> int:
        return len(self._mine)

    def __bool__(self) -> bool:
        return True

    async def __aenter__(self) -> Any:
        return await self._awaited(self._mine.__aenter__())

    async def __aexit__(self, *exc: Any) -> Any:
        return await self._awaited(self._mine.__aexit__(*exc))


def _bare(value: Any) -> Any:
    return value._mine if isinstance(value, Face) else value


class Pool:
    """What their fixtures ask of a connection pool."""

    def __init__(self, client: Redis, options: dict[str, Any]) -> None:
        self._client, self.connection_kwargs = client, options

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await self._client.aclose()


NAMED = ("host", "port", "db", "password", "username", "decode_responses", "encoding")
NAMED += ("encoding_errors", "protocol", "client_name", "socket_timeout", "socket_connect_timeout")
"""Options that mean the same here; those of their pools mean nothing."""


class Adapted(Face):
    """Takes what theirs takes."""

    def __init__(self, *args: Any, connection_pool: Any = None, **options: Any) -> None:
        if connection_pool is not None:
            options = {**connection_pool.connection_kwargs, **options}
        known = {k: v for k, v in options.items() if k in NAMED and v is not None}
        super().__init__(Redis(*args, **known))
        self.__dict__["connection_pool"] = Pool(self._mine, options)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> "Adapted":
        return cls(**redis.asyncio.connection.parse_url(url), **options)

    def client(self) -> "Adapted":
        return self


redis.asyncio.Redis = Adapted


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Theirs are run with one connection and with a pool of them; ours has no such choice.
    left_out = [item for item in items if "[single" in item.nodeid]
    items[:] = [item for item in items if item not in set(left_out)]
    config.hook.pytest_deselected(items=left_out)
    mark(items, Path(__file__).with_name("redis.txt"))
