"""The level that all workers and machines share: Redis, and the news of what changed there.

The window of staleness: once `delete` or `set` has returned, this worker gives nothing older, nor
does any that reads Redis; the others hear of it by a push, one way through Redis. A worker that
cannot hear knows that within two `heartbeat`s, forgets what it holds `unheard` seconds later, and
until it hears again holds nothing for longer than that. What Redis itself forgets (a fail-over
that loses the last writes, FLUSHALL, an eviction of tombstones) is beyond this: there the bound is
the value's own time.
"""

import asyncio
import hashlib
import logging
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from megahertz.cache.news import News
from megahertz.cache.stored import ABSENT, GONE, Stored, unpacked
from megahertz.errors import (
    BackendError,
    BadSettings,
    ConnectError,
    Misused,
    Overloaded,
    ReplyError,
)

if TYPE_CHECKING:
    from megahertz.backends import Redis, RedisCluster, Script

log = logging.getLogger("megahertz")

AWAY: Final = (BackendError, Overloaded)
"""What Redis not being of any help looks like."""

QUIET: Final = 60.0
"""Seconds between two lines in the log about that; `statistics()` of each cache counts them all."""

LONGEST_KEY: Final = 512
"""Characters of a key in Redis; of a longer one the digest is used."""

_FILL = """
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then
  local there = redis.call('GET', KEYS[1])
  if there then return there end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false
"""
"""What is gone by now may be filled: a delete leaves a tombstone for longer than any load takes."""

_CHANGE = """
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('PUBLISH', ARGV[3], ARGV[4])
"""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class Listener(Protocol):
    """A cache that is told of changes."""

    def changed(self, wire: str) -> None:
        """Somebody else has changed a key."""
        ...

    def hears(self, heard: bool) -> None:
        """Whether it would be told, from now on; what happened before may have been missed."""
        ...


class Remote:
    """Redis as the level behind the local caches; a resource: `App(resources=[redis, remote])`.

    Args:
        redis: one server, a Sentinel's master or a Cluster.
        prefix: of the keys in Redis; the news are on the channel `{prefix}news`.
        timeout: seconds that a question may take: what is quicker to load is no use to cache.
        rest: seconds for which nothing is asked after one that failed.
        heartbeat: seconds without news after which the connection has to answer, within as many.

    Raises:
        BadSettings: a number that is not above 0, or a cluster whose replicas are read: they may be
            behind what a worker was told.
    """

    def __init__(
        self,
        redis: "Redis | RedisCluster",
        *,
        prefix: str = "cache:",
        timeout: float = 0.25,
        rest: float = 1.0,
        heartbeat: float = 0.5,
    ) -> None:
        if min(timeout, rest, heartbeat) <= 0:
            raise BadSettings(f"Remote({timeout=}, {rest=}, {heartbeat=}): all above 0")
        read_from = getattr(redis, "read_from", "master")  # a RedisCluster's
        if read_from != "master":
            raise BadSettings(f"Remote: RedisCluster({read_from=}) may be behind")
        self._redis, self._prefix, self._timeout, self._rest = redis, prefix, timeout, rest
        self._me = ""
        self._channel = f"{prefix}news"
        self._news = News(
            redis, self._channel, heartbeat=heartbeat, said=self._said, hears=self._hears
        )
        self._listeners: dict[str, Listener] = {}
        self._listening: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        self._away_until = self._quiet_until = 0.0
        self._fill, self._change, self._release = map(self.script, (_FILL, _CHANGE, _RELEASE))

    def script(self, text: str) -> "Script":
        """One for `run`."""
        return self._redis.register_script(text)

    @property
    def heard(self) -> bool:
        """Whether changes of others would be heard of now."""
        return self._heard.is_set()

    async def hears(self) -> None:
        """Returns once they would."""
        await self._heard.wait()

    def attach(self, name: str, listener: Listener) -> None:
        """Tells a cache of the changes of its keys, `name:...`.

        Raises:
            BadSettings: another cache has that name.
        """
        if name in self._listeners:
            raise BadSettings(f"two caches of one Remote are called {name!r}: name= one of them")
        self._listeners[name] = listener

    def _said(self, message: str) -> None:
        sender, _, wire = message.partition(" ")
        listener = self._listeners.get(wire.partition(":")[0])
        if listener is not None and sender != self._me:
            listener.changed(wire)

    def _hears(self, heard: bool) -> None:
        if heard:
            self._heard.set()
        else:
            self._heard.clear()
        for listener in self._listeners.values():
            listener.hears(heard)

    async def read(self, wire: str) -> Stored:
        """What there is of a key.

        Raises:
            BackendError, Overloaded: Redis is away.
        """
        key = self._key(wire)
        octets, left = await self.ask(("GET", key), ("PTTL", key))
        if octets is None:
            return ABSENT
        # Without an end it is none of ours.
        return unpacked(octets, left / 1000) if left > 0 else Stored(octets[:8], GONE)

    async def fill(self, wire: str, seen: bytes, payload: bytes, seconds: float) -> Stored | None:
        """Writes what was loaded, unless somebody wrote since `seen` was: what is there then."""
        words = (seen, payload, _milliseconds(seconds))
        # Once more does no harm: the second time it finds itself.
        there = await self.run(self._fill, self._key(wire), words, repeat=True)
        return None if there is None else unpacked(there)

    async def change(
        self, wire: str, payload: bytes, seconds: float, *, repeat: bool = False
    ) -> None:
        """Writes it whatever there is, and tells everybody.

        Raises:
            BackendError, Overloaded: Redis is away; whether it was done may be unknown.
        """
        words = (payload, _milliseconds(seconds), *self.told(wire))
        await self.run(self._change, self._key(wire), words, repeat=repeat)

    def told(self, wire: str) -> tuple[str, str]:
        """Channel and message of its PUBLISH, for the script that changes a key.

        Raises:
            Misused: nobody has entered this.
        """
        self._check_open()
        return self._channel, f"{self._me} {wire}"

    async def claim(self, wire: str, owner: str, lease: float) -> bool:
        """Whether nobody else loads the key now, and for `lease` seconds nobody else will."""
        words = ("SET", self._lock(wire), owner, "NX", "PX", _milliseconds(lease))
        return (await self.ask(words, repeat=False))[0] is not None

    async def release(self, wire: str, owner: str) -> None:
        """Others may load it; nothing happens where they have the lease by now."""
        await self.run(self._release, self._lock(wire), (owner,), repeat=True)

    async def run(self, script: "Script", key: str, words: tuple[Any, ...], *, repeat: bool) -> Any:
        """What a script of one key gives, by its SHA-1 once the server knows it."""
        rest = (1, key, *words)
        try:
            return (await self.ask(("EVALSHA", script.sha, *rest), repeat=repeat))[0]
        except ReplyError as error:
            if error.kind != "NOSCRIPT":
                raise
        return (await self.ask(("EVAL", script.script, *rest), repeat=repeat))[0]

    async def ask(self, *commands: tuple[Any, ...], repeat: bool = True) -> list[Any]:
        """Replies, strings as octets; who was not answered in time is left alone for a while.

        Args:
            repeat: to ask twice does no harm.

        Raises:
            BackendError, Overloaded: Redis is away, or refuses.
        """
        send, timeout = self._redis._command, self._timeout
        try:
            return await asyncio.gather(
                *(send(words, None, repeat, timeout, True) for words in commands)
            )
        except AWAY as error:
            now = time.monotonic()
            if not isinstance(error, ReplyError):
                self._away_until = now + self._rest
            elif error.kind == "NOSCRIPT":
                raise
            if now >= self._quiet_until:
                log.warning("cache %s: Redis is of no help: %s", self._prefix, error)
                self._quiet_until = now + QUIET
            raise

    @property
    def rests(self) -> bool:
        """Whether Redis has failed a moment ago, and is not asked."""
        return time.monotonic() < self._away_until

    def check(self) -> None:
        """Whether it is worth asking.

        Raises:
            Misused: nobody has entered this, so that nobody would hear what others change.
            ConnectError: it rests.
        """
        self._check_open()
        if self.rests:
            raise ConnectError(f"{self._prefix}: Redis failed less than {self._rest:g} s ago")

    def _check_open(self) -> None:
        if self._listening is None:
            raise Misused("Remote is not open: App(resources=[redis, remote]), or `async with`")

    def _key(self, wire: str) -> str:
        return self._prefix + (wire if len(wire) <= LONGEST_KEY else _digest(wire))

    def _lock(self, wire: str) -> str:
        return f"{self._prefix}lock:{_digest(wire)}"

    async def __aenter__(self) -> Self:
        """Begins to listen; does not wait for it."""
        self._heard.clear()
        self._me = secrets.token_hex(8)  # not before: a process that forks has children
        self._listening = asyncio.create_task(self._news.run(), name="cache news")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stops to listen; what is held locally goes."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
            await asyncio.wait([listening])


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _digest(wire: str) -> str:
    name, _, rest = wire.partition(":")
    return f"{name}:{hashlib.blake2b(rest.encode(), digest_size=16).hexdigest()}"
