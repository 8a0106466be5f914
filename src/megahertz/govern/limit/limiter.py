"""What the four limiters share: numbers that are checked, a key, a scope, a cell in the engine.

Theory: each law is a function of one 64-bit word and the time (`rust/plane/src/law.rs`), so that a
decision is one compare-and-swap, in memory of this process or of all workers of the machine; over
Redis it is one script (`backends/redis_laws.py`). Time is the clock that nobody sets.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, ParamSpec, TypeVar

from megahertz.backends import Law, rule
from megahertz.clock import Clock
from megahertz.context import deadline
from megahertz.engine import Limiter as Cell
from megahertz.engine import Plane
from megahertz.errors import BadSettings, Misused, RateLimited
from megahertz.govern import planes
from megahertz.govern.guard import Block
from megahertz.govern.limit import keys as keys_
from megahertz.govern.limit.keys import Key
from megahertz.govern.limit.redis import RedisScope

P = ParamSpec("P")
R = TypeVar("R")

KEYS: Final = 65_536
"""Keys remembered at once (nginx's customary `limit_req_zone ... 4m` holds as many states). Above,
one that has booked least is forgotten: its caller begins with a full burst again."""


@dataclass(frozen=True, slots=True)
class LimitStatistics:
    """Calls by outcome since the start, keys that mean something now, and keys forgotten for want
    of room; of the machine where that is the scope."""

    admitted: int
    refused: int
    keys: int
    forgotten: int


class Limiter(Block):
    """A rate: for a route (`Policy(limit=...)`), and a guard around any call.

    Args:
        rate: calls.
        per: seconds.
        burst: see the law.
        key: whose rate it is: None (everybody's together), "client" (the peer's address),
            "header:x-user", "path:sku", or a function of the request; around a call, of its
            arguments.
        scope: "worker" counts in this process, "machine" in all of its workers together, a
            `RedisScope` (or a client of Redis) in all servers.
        keys: remembered at once.
        name: what makes it the same limit in other processes; its numbers where left out.
        fallback: what a guarded call answers instead of a refusal.
        clock: where time comes from, for tests; not with Redis.

    Raises:
        BadSettings: a number that cannot be, or a key or scope that is not known.
    """

    law: ClassVar[Law]

    def __init__(
        self,
        rate: float,
        per: float = 1.0,
        *,
        burst: int = 1,
        key: Key = None,
        scope: Literal["worker", "machine"] | RedisScope | Any = "machine",
        keys: int = KEYS,
        name: str | None = None,
        fallback: Any = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(fallback)
        kind = type(self).__name__
        if not (0 < rate < _MOST and 0 < per < _MOST and burst >= 1 and 1 <= keys <= 1 << 24):
            raise BadSettings(
                f"{kind}({rate=}, {per=}, {burst=}, {keys=}): rate and per > 0, burst >= 1, "
                f"1 to 16,777,216 keys"
            )
        keys_.check(key, kind)
        self.rate, self.per, self.burst, self.key = rate, per, burst, key
        self.scope = _scope(scope, kind)
        self._check()
        self._keys, self._clock = keys, clock
        self._cell: Cell | None = None
        self._redis = self.scope if isinstance(self.scope, RedisScope) else None
        self._rule = rule(self.law, rate, per, burst)
        self._admitted = self._refused = 0  # by Redis; the cell counts its own
        told = f"{kind} {rate:g}/{per:g} burst {burst} key {keys_.named(key)}"
        self.name = planes.name(told) if name is None else name

    def _check(self) -> None:
        """What the law asks for beside the common rules; raises BadSettings."""

    @property
    def waits(self) -> bool:
        """Whether a decision may take time: then `acquire`, not `try_acquire`, is to be asked."""
        return self._redis is not None or self.law == "leaky"

    @property
    def is_timed(self) -> bool:
        """Whether its time comes from a clock of Python's."""
        return self._clock is not None

    def join(self, plane: Plane) -> None:
        """Counts in `plane` from now on, with every limiter of that name there.

        For the server, at its start; the scope "worker" stays in memory of the process.
        """
        if self.scope == "worker":
            plane = planes.private()
        rate, per, burst = self.rate, self.per, self.burst
        if self._redis is not None:
            rate, per, burst = share(self.law, rate, per, burst, self._redis.instances)
        keys = 0 if self.key is None else self._keys
        self._cell = Cell(plane, self.name, self.law, rate=rate, per=per, burst=burst, keys=keys)

    def try_acquire(self, key: str | None = None, cost: int = 1) -> float:
        """0.0 if the call is admitted, above 0 the seconds until it would be; it counts as `cost`.

        Below 0 (`LeakyBucket` alone): it is admitted, and its turn comes after so many seconds.

        Raises:
            Misused: the limit is Redis's, which has to be waited for; a key of one that counts all
                calls together; a cost that never fits.
        """
        cell = self._cell
        if cell is None or self._redis is not None or self._clock is not None:
            if self._redis is not None:
                raise Misused(f"{self!r} asks Redis: `await limit.acquire()`")
            return self._local(key, cost)
        if (key is not None and self.key is None) or cost != 1:
            self._check_call(key, cost)
        return cell.acquire(key, cost)

    @property
    def cell(self) -> Cell:
        """Where it counts: in the plane that it joined, else in that of this process's server, else
        in memory of its own. Over Redis this server's share of it."""
        if self._cell is None:
            self.join(planes.found(self._clock))
            assert self._cell is not None
        return self._cell

    def _local(self, key: str | None, cost: int) -> float:
        self._check_call(key, cost)
        clock = self._clock
        return self.cell.acquire(key, cost, None if clock is None else int(clock.now() * 1e9))

    def _check_call(self, key: str | None, cost: int) -> None:
        if key is not None and self.key is None:
            raise self._keyless()
        most = self.rate if self.law == "window" else self.burst
        if not 1 <= cost <= most:
            raise Misused(f"{self!r}: a cost of {cost} never fits, 1 to {most:g} do")

    def _keyless(self) -> Misused:
        return Misused(f"{self!r} counts all calls together; a key needs key=")

    async def decide(self, key: str | None = None, cost: int = 1) -> float:
        """As `try_acquire`, in any scope: Redis's word, or the local one while Redis is away."""
        if self._redis is not None:
            self._check_call(key, cost)
            wait = await self._redis.decide(f"{self.name}:{key or ''}", self._rule, cost)
            if wait is not None:
                self._refused += wait > 0
                self._admitted += wait <= 0
                return wait
        return self._local(key, cost)

    async def acquire(self, key: str | None = None, cost: int = 1) -> None:
        """Returns when it is the call's turn.

        Raises:
            RateLimited: it is over the rate, or its turn would come after the caller's deadline.
        """
        wait = await self.decide(key, cost)
        if wait > 0:
            raise RateLimited(f"at most {self.rate:g} in {self.per:g} s", retry_after=wait)
        if wait < 0:
            left = deadline()
            if left is not None and -wait >= left:
                raise RateLimited("its turn would come too late", retry_after=-wait)
            await asyncio.sleep(-wait)

    def of(self, key: str) -> "Keyed":
        """This limit for one key, as a guard.

        Raises:
            Misused: it counts all calls together.
        """
        if self.key is None:
            raise self._keyless()
        return Keyed(self, key)

    async def _run(
        self, call: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        await self.acquire(keys_.of_call(self.key, args, kwargs))
        return await call(*args, **kwargs)

    @asynccontextmanager
    async def _block(self) -> AsyncIterator[None]:
        if self.key is not None:
            raise Misused(f"{self!r}: a block has no key; `async with limit.of(key):`")
        await self.acquire()
        yield

    def statistics(self) -> LimitStatistics:
        """A snapshot."""
        if self._cell is None:
            return LimitStatistics(self._admitted, self._refused, 0, 0)
        clock = self._clock
        now = None if clock is None else int(clock.now() * 1e9)
        admitted, refused, keys, forgotten = self._cell.statistics(now)
        return LimitStatistics(self._admitted + admitted, self._refused + refused, keys, forgotten)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.rate:g}, per={self.per:g}, burst={self.burst}, "
            f"key={keys_.named(self.key)}, scope={self.scope!r})"
        )


class Keyed(Block):
    """One key of a limit, as a guard; `Limiter.of` makes it."""

    def __init__(self, limit: Limiter, key: str) -> None:
        super().__init__()
        self._limit, self._key = limit, key
        self._fallback = limit._fallback

    @asynccontextmanager
    async def _block(self) -> AsyncIterator[None]:
        await self._limit.acquire(self._key)
        yield


_MOST: Final = 1e12
"""Calls, and seconds: nothing is measured beyond, and NaN and infinity are not below."""


def share(
    law: Law, rate: float, per: float, burst: int, instances: int
) -> tuple[float, float, int]:
    """The part of a limit that one of several servers has while it is on its own."""
    burst = -(-burst // instances)
    if law != "window":
        return rate / instances, per, burst
    if rate >= instances:
        return rate // instances, per, burst
    return 1, per * instances / rate, burst


def _scope(scope: Any, kind: str) -> Literal["worker", "machine"] | RedisScope:
    if scope == "worker":
        return "worker"
    if scope == "machine":
        return "machine"
    if isinstance(scope, RedisScope):
        return scope
    if hasattr(scope, "execute_command"):
        return RedisScope(scope)
    raise BadSettings(f'{kind}({scope=}): "worker", "machine" or a RedisScope')
