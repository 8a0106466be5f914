"""The laws of rate limiters, decided by Redis: one script, one round trip, Redis's own clock.

The same laws as `rust/plane/src/law.rs`, in microseconds (Redis's TIME). A script runs alone, so
that servers which race see each other's bookings, and none of them needs to agree with another on
the time. Microseconds since 2026, as a double has room for 1/256 of one then; a key lives as long
as it says anything.
"""

import asyncio
import hashlib
import sys
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from megahertz.errors import ConnectError, Overloaded, RemoteError, ReplyError

if TYPE_CHECKING:
    from megahertz.backends.redis import Redis

Law = Literal["gcra", "leaky", "window"]

TIME: Final = "redis.call('TIME')"

SCRIPT: Final = """
local time = %s
local now = (tonumber(time[1]) - 1767225600) * 1000000 + tonumber(time[2])
local law, cost = ARGV[1], tonumber(ARGV[2])
local word = redis.call('GET', KEYS[1])
local function keep(text, micros)
  redis.call('SET', KEYS[1], text, 'PX', math.ceil(micros / 1000) + 1)
end

if law == 'window' then
  local limit, length = tonumber(ARGV[3]), tonumber(ARGV[4])
  local number, before, own, stepped = math.floor(now / length), 0, 0, false
  if word then
    local last, first, second = string.match(word, '^(%%S+) (%%d+) (%%d+)$')
    last = tonumber(last)
    if last == number then
      before, own = tonumber(first), tonumber(second)
    elseif last == number - 1 then
      before = tonumber(second)
    elseif last > number then -- the clock went back: the last window counts as full
      before, stepped = limit, true
    end
  end
  local passed = now - number * length
  local used = math.ceil(before * (length - passed) / length) + own
  local fits = used + cost <= limit
  if fits then own = own + cost end
  if fits or stepped then
    keep(string.format('%%d %%d %%d', number, before, own), 2 * length)
  end
  if fits then return {1, 0} end
  local function reached(count, room)
    if count <= room then return 0 end
    return length - math.floor(room * length / count)
  end
  local wait
  if own + cost <= limit then
    wait = reached(before, limit - own - cost) - passed
  else
    wait = length - passed + reached(own, math.max(0, limit - cost))
  end
  return {0, math.max(1, math.ceil(wait))}
end

local step, most = tonumber(ARGV[3]), tonumber(ARGV[4])
local function book(busy) keep(string.format('%%.17g', busy), busy - now) end
local busy, furthest = tonumber(word) or now, now + most + step
if busy > furthest then -- the clock went back: the line counts as full
  busy = furthest
  book(busy)
end
local booked = math.max(busy, now)
local ahead = booked - now
local over = ahead - most
if law == 'gcra' then over = over + step * (cost - 1) end
if over > 0 then return {0, math.max(1, math.ceil(over))} end
book(booked + step * cost)
if law == 'gcra' then return {1, 0} end
return {1, math.ceil(ahead)}
"""
"""With `TIME` in its place; its tests put a time of their own there."""

LONGEST_PAUSE: Final = 0.25
"""Seconds between two attempts to connect: a Redis that is back is to be noticed within one."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A law with its numbers: microseconds, or for a window its calls and its length.

    Attributes:
        law: which.
        first: of "window" the calls, else what a call books.
        second: of "window" its length, else how far ahead may be booked.
    """

    law: Law
    first: float
    second: float


def rule(law: Law, rate: float, per: float, burst: int) -> Rule:
    """As `megahertz.engine.Limiter` reads the same words."""
    if law == "window":
        return Rule(law, int(rate), max(1, int(per * 1e6)))
    step = per / rate * 1e6
    return Rule(law, step, step * (burst if law == "leaky" else burst - 1))


class RedisLaws:
    """Decides by Redis.

    Args:
        client: a URL, `redis://host:6379/0`, or a client of the caller's own: a
            `megahertz.backends.Redis` or a `redis.asyncio.Redis`.
        timeout: seconds that a decision may take.
    """

    def __init__(self, client: Any, *, timeout: float) -> None:
        self._own = _connected(client, timeout) if isinstance(client, str) else None
        self._client = client if self._own is None else self._own
        self._timeout = timeout
        self.script = SCRIPT % TIME
        self._sha = hashlib.sha1(self.script.encode(), usedforsecurity=False).hexdigest()

    async def decide(self, key: str, rule: Rule, cost: int = 1) -> float:
        """0.0: admitted; above: seconds until it would be; below: admitted after so many seconds.

        Raises:
            BackendError: ConnectError and ReadError without an answer in time, RemoteError where
                Redis refuses.
        """
        words = (1, key, rule.law, cost, repr(rule.first), repr(rule.second))
        try:
            if self._own is not None:
                admitted, wait = await self._evaluate(words)
            else:
                async with asyncio.timeout(self._timeout):
                    admitted, wait = await self._evaluate(words)
        except _away() as error:
            raise ConnectError(f"Redis did not decide in time: {error}") from error
        except _theirs("RedisError") as error:
            raise RemoteError(f"Redis refuses to decide: {error}") from error
        return -wait / 1e6 if admitted else wait / 1e6

    async def _evaluate(self, words: tuple[Any, ...]) -> tuple[int, int]:
        ask = self._client.execute_command
        try:
            decided: Awaitable[tuple[int, int]] = ask("EVALSHA", self._sha, *words)
            return await decided
        except _theirs("NoScriptError"):
            pass
        except ReplyError as error:
            if error.kind != "NOSCRIPT":
                raise
        # A new Redis, or one that was restarted: this loads it.
        decided = ask("EVAL", self.script, *words)
        return await decided

    async def aclose(self) -> None:
        """Closes what was opened for a URL."""
        if self._own is not None:
            await self._own.aclose()


def _connected(url: str, timeout: float) -> "Redis":
    """Whatever waits fails with the first attempt to connect that does."""
    from megahertz.backends.redis import Redis  # a limit of one machine has no need of it

    return Redis.from_url(
        url, timeout=timeout, connect_timeout=timeout, retries=1, longest_backoff=LONGEST_PAUSE
    )


def _away() -> tuple[type[Exception], ...]:
    return (OSError, Overloaded, *_theirs("ConnectionError", "TimeoutError"))


def _theirs(*names: str) -> tuple[type[Exception], ...]:
    """Errors of redis-py: whoever gives a client of its has imported it, and nobody else needs its
    8 MB."""
    module = sys.modules.get("redis.exceptions")
    return () if module is None else tuple(getattr(module, name) for name in names)
