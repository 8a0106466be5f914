"""A limit that all servers count together, and what each does on its own while Redis is away.

Rules: a decision may take `timeout` (50 ms); the first one that fails sends all others to the
local share of the limit (limit / instances), without waiting for anything. While requests come,
one question each `rest` is put to Redis beside them; the first answer brings everybody back. So a
Redis that fails costs the requests in that moment 50 ms and no other one anything, servers on
their own admit no more than the sum of their shares, and recovery is seen within `rest`.
"""

import asyncio
import hashlib
import logging
import time
from dataclasses import dataclass
from typing import Any, Final

from megahertz.backends import RedisLaws, Rule, rule
from megahertz.errors import BackendError, BadSettings

log = logging.getLogger("megahertz")

LONGEST_KEY: Final = 128
"""Characters of a key in Redis; a longer one (a header may have 8 KiB) is told by its digest."""


@dataclass(frozen=True, slots=True)
class RedisStatistics:
    """Whether Redis is away, decisions by Redis and without it, and times that it went away."""

    away: bool
    decided: int
    alone: int
    losses: int


class RedisScope:
    """Where limits of several servers are counted: `GCRA(1000, scope=RedisScope(url))`.

    Args:
        redis: a URL, or a client: a `megahertz.backends.Redis` or a `redis.asyncio.Redis`.
        instances: servers that share the limit; each has its part while Redis is away.
        prefix: of the keys in Redis.
        timeout: seconds that a decision may take.
        rest: seconds between two looks at a Redis that is away.

    Raises:
        BadSettings: a number that cannot be, or a URL that is none of Redis's.
    """

    def __init__(
        self,
        redis: Any,
        *,
        instances: int = 1,
        prefix: str = "mhz:limit",
        timeout: float = 0.05,
        rest: float = 0.25,
    ) -> None:
        if instances < 1 or not (timeout > 0 and rest > 0):
            raise BadSettings(
                f"RedisScope({instances=}, {timeout=}, {rest=}): instances >= 1, the others > 0"
            )
        self.instances = instances
        self._laws = RedisLaws(redis, timeout=timeout)
        self._prefix, self._rest = prefix, rest
        self._away, self._look_at = False, 0.0
        self._look: asyncio.Task[None] | None = None
        self._decided = self._alone = self._losses = 0

    async def decide(self, key: str, law: Rule, cost: int = 1) -> float | None:
        """As `RedisLaws.decide`; None where Redis is away."""
        if not self._away:
            try:
                wait = await self._laws.decide(self._key(key), law, cost)
            except BackendError as error:
                self._lose(error)
            else:
                self._decided += 1
                return wait
        elif time.monotonic() >= self._look_at and (self._look is None or self._look.done()):
            self._look = asyncio.create_task(self._look_again(), name="redis limits")
        self._alone += 1
        return None

    def _key(self, key: str) -> str:
        if len(key) > LONGEST_KEY or not key.isascii():
            octets = key.encode(errors="surrogatepass")
            key = hashlib.blake2b(octets, digest_size=16).hexdigest()
        return f"{self._prefix}:{key}"

    def _lose(self, error: BackendError) -> None:
        self._look_at = time.monotonic() + self._rest
        if not self._away:
            self._away = True
            self._losses += 1
            share = f"1/{self.instances}" if self.instances > 1 else "all"
            log.warning("%s; this server admits %s of each limit meanwhile", error, share)

    async def _look_again(self) -> None:
        try:
            # Nothing is booked, but all that a decision needs has to work.
            await self._laws.decide(f"{self._prefix}:look", _NOTHING, 0)
        except BackendError as error:
            self._lose(error)
        else:
            self._away = False
            log.warning("Redis decides on limits again")

    def statistics(self) -> RedisStatistics:
        """A snapshot."""
        return RedisStatistics(self._away, self._decided, self._alone, self._losses)

    async def aclose(self) -> None:
        """Closes the connections that it opened."""
        if self._look is not None:
            self._look.cancel()
        await self._laws.aclose()

    async def __aenter__(self) -> "RedisScope":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"RedisScope(instances={self.instances})"


_NOTHING: Final = rule("gcra", 1.0, 1.0, 1)
