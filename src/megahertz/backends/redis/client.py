"""A client of one Redis, with the habits of redis-py's asyncio client."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, Self

from megahertz.backends.redis.address import Address, from_url
from megahertz.backends.redis.commands import Command, Commands, Convert, Free, Words
from megahertz.backends.redis.connection import Connection, Locate
from megahertz.backends.redis.lock import Lock
from megahertz.backends.redis.options import Options
from megahertz.backends.redis.own import Own
from megahertz.backends.redis.pipeline import Pipeline
from megahertz.backends.redis.subscriber import PubSub
from megahertz.backends.redis.told import told
from megahertz.backends.redis.tracking import Tracking
from megahertz.engine import Reply
from megahertz.errors import BadSettings, Misused
from megahertz.observe import tells


class Redis(Commands, Free):
    """Commands of all tasks of a loop through one connection, in one write a turn.

    A command is sent when it is called; awaiting it waits for the reply. A task that is cancelled
    stops waiting, and nothing else: the command may have been done.

        async with Redis("redis.example", decode_responses=True) as redis:
            await redis.set("greeting", "hello", ex=60)
            assert await redis.get("greeting") == "hello"

    Args:
        host: a name or an address; port, db: as usual.
        options: of `Options`: timeout, retries, decode_responses and so on.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 6379,
        db: int = 0,
        password: str | None = None,
        *,
        username: str | None = None,
        unix_socket_path: str | None = None,
        ssl: bool = False,
        ssl_ca_certs: str | None = None,
        ssl_certfile: str | None = None,
        ssl_keyfile: str | None = None,
        **options: Any,
    ) -> None:
        address = Address(
            host=host,
            port=int(port),
            path=unix_socket_path,
            db=int(db),
            username=username,
            password=password,
            tls=ssl,
            ca_certs=ssl_ca_certs,
            certfile=ssl_certfile,
            keyfile=ssl_keyfile,
        )
        self._begin(address, settled(options))

    def _begin(self, address: Address, options: Options, locate: Locate | None = None) -> None:
        self.address, self.options, self._locate = address, options, locate
        self._connection: Connection | None = None
        self._tracking: Tracking | None = None
        self._own = Own(address, options, locate)
        self._command: Command = self._first
        tells(self)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """`redis://user:password@host:6379/0`, `rediss://` (TLS) or `unix:///path?db=0`.

        Raises:
            BadSettings: another scheme, or an option that there is none of.
        """
        address, query = from_url(url)
        place = {name: options.pop(name) for name in PLACES if name in options}
        client = cls.__new__(cls)
        client._begin(replace(address, **place), settled({**query, **options}))
        return client

    def located(self, locate: Locate) -> Self:
        """Asks `locate` where the server is before every connection, instead of a name."""
        self._begin(self.address, self.options, locate)
        return self

    def _first(self, *command: Any) -> Reply:
        """The first command of all opens the connection."""
        link = self._open().link
        self._command = link.command
        return link.command(*command)

    def _open(self) -> Connection:
        if self._connection is None:
            said = {} if self._tracking is None else self._tracking.said()
            place = (self.address, self.options)
            self._connection = Connection(*place, locate=self._locate, **said)
            self._connection.open()
        return self._connection

    def _blocking(self, words: Words, convert: Convert | None, seconds: float) -> Awaitable[Any]:
        timeout = self.options.timeout
        # The server's word that nothing came has to come back as well.
        patience = seconds + timeout if seconds and timeout is not None else 0.0
        return self._own.command(words, convert, patience)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Commands to be sent together, and as one MULTI ... EXEC unless `transaction` is off."""
        return Pipeline(self._open().link, self._own, transaction=transaction)

    def track(
        self,
        invalidated: Callable[[list[Any] | None], object],
        *,
        prefixes: Sequence[str] = (),
        noloop: bool = False,
    ) -> None:
        """Has `invalidated` called with keys that this client has read, once they change.

        With None all of them: the database was emptied, or the connection lost, and with it what
        the server would have said. To be called before the first command; caches of what is read
        through this client are right as long as they forget what is named. Reads and what makes
        them wrong come over one connection, in order: no reply that is older than its
        invalidation is delivered behind it.

        Args:
            prefixes: keys that begin with one of these, read or not (BCAST).
            noloop: not those that this client changes itself.

        Raises:
            Misused: the client is in use already, or speaks RESP2.
        """
        if self._connection is not None or self.options.protocol != 3:
            raise Misused("track() comes before the first command, and needs protocol=3")
        self._tracking = Tracking(invalidated, tuple(prefixes), noloop)

    def pubsub(self, *, ignore_subscribe_messages: bool = False, **_: Any) -> PubSub:
        """A subscriber, on a connection of its own."""
        return PubSub(
            self.address,
            self.options,
            ignore_subscribe_messages=ignore_subscribe_messages,
            locate=self._locate,
        )

    def lock(
        self,
        name: str,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        raise_on_release_error: bool = True,
        **_: Any,
    ) -> Lock:
        """A lock that all clients of this Redis see; see `Lock`."""
        return Lock(
            self,
            name,
            timeout=timeout,
            sleep=sleep,
            blocking=blocking,
            blocking_timeout=blocking_timeout,
            raise_on_release_error=raise_on_release_error,
        )

    async def transaction(
        self,
        func: Callable[[Pipeline], Any],
        *watches: Any,
        value_from_callable: bool = False,
        **_: Any,
    ) -> Any:
        """Calls `func` with a pipeline that watches these keys, until nobody else has changed them.

        Returns:
            What EXEC gave, or with `value_from_callable` what `func` did.
        """
        async with self.pipeline(transaction=True) as pipe:
            return await pipe.attempt(func, watches, value_from_callable=value_from_callable)

    async def initialize(self) -> Self:
        """Connects now, instead of at the first command; raises where that is not possible."""
        await self.ping()
        return self

    async def __aenter__(self) -> Self:
        """Connects when it is first asked to."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Closes every connection; commands that wait fail. The next one opens it again."""
        self._command = self._first
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._own.close()
        await asyncio.sleep(0)  # what was cancelled ends

    def figures(self) -> Iterable[tuple[str, float]]:
        """For `/metrics`."""
        return told(self.statistics(), str(self.address))

    def statistics(self) -> dict[str, int]:
        """Counters of the shared connection, and how many others there are.

        `commands`, `replies`, `discarded` (nobody waited any more), `expired`, `repeated` (asked
        again on another connection), `refused`, `pushes`, `bytes_in`, `bytes_out`; of this moment:
        `waiting` (commands), `held` (their octets), `own`, `own_busy`; `connected`: how often.
        """
        connection = self._connection
        counted = {} if connection is None else connection.link.statistics()
        counted["connected"] = 0 if connection is None else connection.connected
        return {**counted, **self._own.statistics()}


PLACES = ("host", "port", "db", "username", "password")
_NAMES = {
    "socket_timeout": "timeout",
    "socket_connect_timeout": "connect_timeout",
}
_TYPES = {field.name: field.type for field in fields(Options)}
_IGNORED = frozenset(("health_check_interval", "single_connection_client", "lib_name"))


def settled(given: dict[str, Any]) -> Options:
    """Options by our names or redis-py's, from a URL perhaps.

    Raises:
        BadSettings: there is none of that name, or its value is none.
    """
    chosen = {_NAMES.get(name, name): value for name, value in given.items()}
    unknown = sorted(chosen.keys() - _TYPES.keys() - _IGNORED)
    if unknown:
        raise BadSettings(f"Redis has no option {', '.join(unknown)}; it has {_listed(_TYPES)}")
    return Options(**{name: _typed(name, chosen[name]) for name in chosen if name in _TYPES})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _typed(name: str, value: Any) -> Any:
    """A value of a URL's query is text."""
    if not isinstance(value, str) or name in ("encoding", "encoding_errors", "client_name"):
        return value
    if name == "decode_responses":
        return value.lower() in ("1", "true", "yes", "on")
    try:
        return int(value) if name in ("retries", "count", "bytes", "protocol") else float(value)
    except ValueError as error:
        raise BadSettings(f"{name}={value}: not a number") from error
