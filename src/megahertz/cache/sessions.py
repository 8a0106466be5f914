"""Sessions of browsers, kept where all workers see them.

Theory: a session is a hash in Redis, `session:{token}`, with a field for each name in it. So of
two requests at once that change different names neither undoes the other, which is what goes wrong
where a session is one value. A worker holds what it has read for `local_ttl`, then reads it again,
and with that its time begins anew: a session ends between `ttl - local_ttl` and `ttl` after its
last use. One that is revoked, or changed, is told to all (`news.py`), and a worker that cannot
hear believes nothing that it holds: within two heartbeats of a `Remote` (1 s) everybody knows.

Rules: only a token of ours is ever written under, and only while its session is there: what was
revoked does not come back by a request that began before. A token is a secret of 256 bits.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, Final

from megahertz.cache.flights import Flight, Flights
from megahertz.cache.lru import LRU
from megahertz.cache.remote import Remote
from megahertz.cache.session_store import Fields
from megahertz.clock import Clock
from megahertz.errors import BadSettings

TTL: Final = 1800.0
"""Seconds that a session lives unused; OWASP's session management cheat sheet: 15 to 30 minutes."""

LOCAL_TTL: Final = 300.0
"""Seconds that a worker holds one."""

CAPACITY: Final = 10_000
"""Sessions that a worker holds; one of 1 KiB each is 10 MiB."""

BORN: Final = ""
"""The field that a hash always has: a session may have no names."""

_NAME: Final = "session"

_SAVE = """
if ARGV[2] == '0' and redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local last = 5 + 2 * tonumber(ARGV[5])
if last > 5 then redis.call('HSET', KEYS[1], unpack(ARGV, 6, last)) end
if #ARGV > last then redis.call('HDEL', KEYS[1], unpack(ARGV, last + 1)) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
"""

_REVOKE = """
redis.call('PUBLISH', ARGV[1], ARGV[2])
return redis.call('DEL', KEYS[1])
"""


class MemorySessions:
    """Sessions of one worker, for development and tests: a restart forgets them.

    Args:
        ttl: seconds that one lives unused.
        capacity: sessions; the one that was unused longest goes first.
    """

    def __init__(
        self, *, ttl: float = TTL, capacity: int = CAPACITY, clock: Clock | None = None
    ) -> None:
        self._kept: LRU[str, Fields] = LRU(capacity, ttl=ttl, jitter=0, clock=clock)

    async def load(self, token: str) -> Fields | None:
        """What a session has; None: there is none. Its time begins anew."""
        fields = self._kept.get(token)
        if fields is not None:
            self._kept.set(token, fields)
        return fields

    async def save(
        self, token: str, changed: Mapping[str, bytes], removed: Collection[str], *, new: bool
    ) -> bool:
        """Changes it; False where it is not `new` and was revoked meanwhile."""
        fields = {} if new else self._kept.get(token)
        if fields is None:
            return False
        left = {name: value for name, value in fields.items() if name not in removed}
        self._kept.set(token, left | dict(changed))
        return True

    async def revoke(self, token: str) -> None:
        """Ends it."""
        self._kept.delete(token)


class RedisSessions:
    """Sessions of all workers and machines.

    Args:
        remote: Redis, and who tells what was changed.
        ttl: seconds that one lives unused.
        local_ttl: seconds that a worker holds one; 0: each request asks Redis.
        capacity: sessions that a worker holds.
        prefix: of their keys.
        clock: where time comes from, for tests.

    Raises:
        BadSettings: a number that cannot be.
    """

    def __init__(
        self,
        remote: Remote,
        *,
        ttl: float = TTL,
        local_ttl: float = LOCAL_TTL,
        capacity: int = CAPACITY,
        prefix: str = "session:",
        clock: Clock | None = None,
    ) -> None:
        if not 0 <= local_ttl <= ttl or not 0 < ttl < math.inf:
            raise BadSettings(
                f"RedisSessions({ttl=}, {local_ttl=}): 0 <= local_ttl <= ttl, 0 < ttl"
            )
        self._remote, self._prefix, self._local_ttl = remote, prefix, local_ttl
        self._milliseconds = max(1, round(ttl * 1000))
        self._held: LRU[str, Fields] = LRU(capacity, ttl=local_ttl or None, jitter=0, clock=clock)
        self._flights: Flights[str, Fields | None] = Flights(_NAME, self._fly, 5.0)
        self._save, self._revoke = remote.script(_SAVE), remote.script(_REVOKE)
        remote.attach(_NAME, self)

    async def load(self, token: str) -> Fields | None:
        """What a session has; None: there is none. Its time begins anew.

        Raises:
            BackendError, Overloaded: it is not held, and Redis is away.
        """
        held = self._held.get(token) if self._remote.heard else None
        if held is not None:
            return held
        flight = self._flights.get(token) or self._flights.begin(token)
        return await self._flights.join(flight)

    async def _fly(self, token: str, flight: Flight[Fields | None], _: None) -> Fields | None:
        self._remote.check()
        key = self._prefix + token
        _, said = await self._remote.ask(("PEXPIRE", key, self._milliseconds), ("HGETALL", key))
        fields = _fields(said)
        if fields is not None and self._local_ttl and self._flights.keeps(token, flight):
            self._held.set(token, fields)
        return fields

    async def save(
        self, token: str, changed: Mapping[str, bytes], removed: Collection[str], *, new: bool
    ) -> bool:
        """Changes it; False where it is not `new` and was revoked meanwhile.

        Raises:
            BackendError, Overloaded: Redis is away; whether it was done may be unknown.
        """
        fields = {BORN: b"", **changed} if new else changed
        sets = [word for pair in fields.items() for word in pair]
        told = self._remote.told(f"{_NAME}:{token}")
        words = (self._milliseconds, int(new), *told, len(fields), *sets, *removed)
        try:
            return bool(
                await self._remote.run(self._save, self._prefix + token, words, repeat=False)
            )
        finally:
            self._forget(token)

    async def revoke(self, token: str) -> None:
        """Ends it everywhere.

        Raises:
            BackendError, Overloaded: Redis is away; others may take it for valid still.
        """
        words = self._remote.told(f"{_NAME}:{token}")
        try:
            await self._remote.run(self._revoke, self._prefix + token, words, repeat=True)
        finally:
            self._forget(token)

    def _forget(self, token: str) -> None:
        self._flights.detach(token)
        self._held.delete(token)

    def changed(self, wire: str) -> None:
        """Somebody else has changed or revoked one."""
        self._forget(wire.partition(":")[2])

    def hears(self, heard: bool) -> None:
        """What was said meanwhile is lost; and while nothing is heard, nothing is believed."""
        self._flights.detach_all()
        self._held.clear()


def _fields(said: Any) -> Fields | None:
    """Of a reply of HGETALL, which RESP2 has as a list."""
    pairs = said.items() if isinstance(said, dict) else zip(said[::2], said[1::2], strict=True)
    found = {name.decode(): value for name, value in pairs}
    return found if found.pop(BORN, None) is not None else None
