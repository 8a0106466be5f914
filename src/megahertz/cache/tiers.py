"""Levels of a cache: what this worker holds, what Redis has, and who can load it.

Theory: a value goes through three hands, and each hand-over has its way to be wrong.

- Many want the same value at once: one load a key in a worker (`flights.py`), and by choice among
  all machines (a lease in Redis).
- Many values end at once: times differ by 5 % at random, and what is slow to load is loaded a
  little before its end (`held.early`), beside the hit that notices.
- A loader is slow and somebody changes the row meanwhile: the fill shows the token that Redis had
  when the load began (`stored.py`); here the flight was detached. What lost is not kept.
- Somebody else changes the row: the news (`news.py`) have each worker drop it.
- Redis is away: values are held for `unheard` seconds, loads are bounded by `loads`, and nothing is
  asked of Redis for a moment after each failure.

Rejected: to publish new values instead of "it changed" (they would overtake each other, and most
workers do not want them); to compare versions of rows (rows rarely have any).
"""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import asdict
from math import isfinite
from typing import Any, Final, Generic, Literal, TypeVar

from megahertz.cache.arc import ARC
from megahertz.cache.counts import Counts, TiersStatistics
from megahertz.cache.flights import MOST, Flight, Flights
from megahertz.cache.held import Held, finder
from megahertz.cache.keep import Keep
from megahertz.cache.kind import Cache, D, K
from megahertz.cache.level import UNKNOWN, Level
from megahertz.cache.remote import Remote
from megahertz.cache.stored import Codec, Stored
from megahertz.cache.wires import SLACK, Wires
from megahertz.clock import Clock
from megahertz.errors import BadSettings, Overloaded
from megahertz.govern import Bulkhead

V = TypeVar("V")

CAPACITY: Final = 10_000
"""Values of a local cache that nobody has sized."""

AGAIN: Final = 1.0
"""Seconds before a value that is still given is loaded anew once more, where that failed."""

POLL: Final = (0.01, 0.1)
"""Seconds between two looks for a value that another machine loads: at first, and at most."""


class Tiers(Generic[K, V]):
    """Values by key: held locally, then in Redis, then loaded. `cached` makes one of a function.

        users: Tiers[int, User] = Tiers(load_user, 60, name="user", type=User, remote=remote)
        user = await users.get(7)

    Args:
        load: `async def load(key)`: gives the value, None where there is none.
        ttl: seconds that a value is fresh.
        name: of the cache, in Redis and in errors; without a colon.
        type: of the values, as `msgspec` decodes them from Redis.
        local: where they are held, each in a `Held`; `ARC(10_000)` where left out.
        remote: the level that all share; without it there is none.
        once: of whom one loads a key at a time: the tasks of a "worker", or all "machines".
        timeout: seconds for a load.
        loads: calls of the loader at once; the others wait for their turn.
        away: what becomes of what is not held while Redis is away: "load", or "raise".
        encode: values to octets; decode: back; msgpack where left out.
        clock: where time comes from, for tests.
        times: the others of `Keep`: local_ttl, stale, negative_ttl, unheard, jitter, beta.

    Attributes:
        get: `await get(key)`: the value; raises what the loader raised, DeadlineExceeded where it
            took too long, Overloaded where too many wait, and with `away="raise"` BackendError.
        local: the local level.

    Raises:
        BadSettings: a number or a name that cannot be.
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        ttl: float,
        *,
        name: str,
        type: Any = Any,
        local: Cache[K, Held[V]] | None = None,
        remote: Remote | None = None,
        once: Literal["worker", "machines"] = "worker",
        timeout: float = 5.0,
        loads: int = 64,
        away: Literal["load", "raise"] = "load",
        encode: Callable[[V], bytes] | None = None,
        decode: Callable[[bytes], V] | None = None,
        clock: Clock | None = None,
        **times: float,
    ) -> None:
        if not name or ":" in name or not timeout > 0:
            raise BadSettings(f"cache {name!r}: {timeout=}: a name without a colon, above 0 s")
        if remote is not None and not isfinite(ttl + times.get("stale", 0.0)):
            raise BadSettings(
                f"cache {name!r}: what is in Redis has an end: a finite ttl and stale"
            )
        self.name, self._load = name, load
        self.local: Cache[K, Held[V]] = ARC(CAPACITY) if local is None else local
        self._keep, self._counts, self._wires = Keep(ttl, **times), Counts(), Wires[K](name)
        codec = Codec(type, encode, decode)
        self._level = Level(
            remote,
            self._keep,
            self._counts,
            encode=codec.encode,
            decode=codec.decode,
            timeout=timeout,
            raises=away == "raise",
        )
        self._leases = remote is not None and once == "machines"
        self._now = time.monotonic if clock is None else clock.now
        self._places, self._most = Bulkhead(loads, queue=MOST), loads
        # A machine may wait for another's lease, and then load itself.
        patience = timeout * (2 if self._leases else 1)
        self._flights: Flights[K, V] = Flights(name, self._fly, patience)
        self._forgetting: asyncio.TimerHandle | None = None
        self.get: Callable[[K], Coroutine[Any, Any, V]]
        self.get = finder(self.local, self._now, self._missed)
        if remote is not None:
            remote.attach(name, self)

    async def _missed(self, key: K) -> V:
        """Nothing is held, or what is held wants to be loaded anew."""
        held = self.local.get(key)
        if held is not None:
            now = self._now()
            if held.soon > now:
                return held.value
            if held.end > now:
                self._renew(key, held)
                return held.value
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights.begin(key)
        else:
            self._counts.joined += 1
        return await self._flights.join(flight)

    def _renew(self, key: K, held: Held[V]) -> None:
        if self._flights.get(key) is not None:
            return
        # The next try has to wait, whatever becomes of this one.
        held.soon = min(held.end, self._now() + self._keep.spread(AGAIN))
        try:
            self._flights.begin(key, held)
        except Overloaded:
            pass

    async def _fly(self, key: K, flight: Flight[V], held: Held[V] | None) -> V:
        """What a flight does: from Redis, or by the loader."""
        wire = self._wires.note(key)
        if len(self._wires) > 2 * len(self.local) + SLACK:
            self._wires.trim([*self._flights, *(key for key, _ in self.local.items())])
        stored = await self._level.read(wire)
        value = self._taken(key, flight, held, stored)
        if value is not UNKNOWN:
            return value  # type: ignore[no-any-return]
        if self._leases and stored is not None:
            return await self._leased(key, flight, held, wire)
        return await self._loaded(key, flight, wire, stored)

    def _taken(self, key: K, flight: Flight[V], held: Held[V] | None, stored: Stored | None) -> Any:
        """What Redis has, held from now on; UNKNOWN where that is nothing or nothing new."""
        if stored is None or (held is not None and stored.token == held.token):
            return UNKNOWN
        value = self._level.value(stored)
        if value is not UNKNOWN:
            self._counts.shared += 1
            fresh = stored.left - self._keep.grace(value)
            self._hold(key, flight, value, fresh, stored.took, stored.token)
        return value

    async def _leased(self, key: K, flight: Flight[V], held: Held[V] | None, wire: str) -> V:
        """By this worker, unless another has it by then."""
        owner, pause = secrets.token_hex(8), POLL[0]
        while not await self._level.claim(wire, owner):
            if held is not None:
                return held.value  # who has the lease renews it
            await asyncio.sleep(random.uniform(pause / 2, pause))
            pause = min(2 * pause, POLL[1])
            value = self._taken(key, flight, held, await self._level.read(wire))
            if value is not UNKNOWN:
                return value  # type: ignore[no-any-return]
        try:
            stored = await self._level.read(wire)
            value = self._taken(key, flight, held, stored)
            if value is not UNKNOWN:
                return value  # type: ignore[no-any-return]
            return await self._loaded(key, flight, wire, stored)
        finally:
            await asyncio.shield(self._level.release(wire, owner))

    async def _loaded(self, key: K, flight: Flight[V], wire: str, stored: Stored | None) -> V:
        """By the loader; `stored` is what Redis had before that."""
        async with self._places:
            began = self._now()
            try:
                value = await self._load(key)
            except BaseException:
                self._counts.failures += 1
                raise
            took = self._now() - began
        self._counts.loads += 1
        fresh, token = self._keep.fresh(value), b""
        if stored is not None and not flight.future.done():  # else it is too late to be believed
            token, there = await self._level.fill(
                wire, value, seen=stored.token, fresh=fresh, took=took
            )
            if there is not None:
                newer = self._level.value(there)
                return value if newer is UNKNOWN else newer
        self._hold(key, flight, value, fresh, took, token)
        return value

    def _hold(
        self, key: K, flight: Flight[V], value: V, fresh: float, took: float, token: bytes
    ) -> None:
        """Keeps it here, unless it was overtaken."""
        if self._flights.keeps(key, flight):
            self._put(key, value, fresh, took, token)

    def _put(self, key: K, value: V, fresh: float, took: float = 0.0, token: bytes = b"") -> None:
        soon, life = self._keep.local(value, fresh, took, heard=self._level.heard)
        if life > 0:
            now = self._now()
            self.local.set(key, Held(value, now + soon, now + life, token), ttl=life)
        else:
            self.local.delete(key)

    def peek(self, key: K, default: D = None) -> V | D:  # type: ignore[assignment]
        """What is held here, or `default`: asks nobody and waits for nothing."""
        held = self.local.get(key)
        return held.value if held is not None and held.end > self._now() else default

    async def set(self, key: K, value: V) -> None:
        """Has everybody see this value from now on; loads that are under way are not kept.

        Raises:
            BackendError, Overloaded: Redis is away: others may hold what was before, for as long
                as they hold anything.
        """
        try:
            await self._level.write(self._wires.of(key), value)
        finally:
            self._forget(key)
        if self._level.alone:
            self._put(key, value, self._keep.fresh(value))

    async def delete(self, *keys: K) -> None:
        """Has everybody load these anew; what is being loaded now is not kept.

        Raises:
            BackendError, Overloaded: as of `set`.
        """
        each = (self._level.write(self._wires.of(key), UNKNOWN) for key in keys)
        try:
            done = await asyncio.gather(*each, return_exceptions=True)
        finally:
            for key in keys:
                self._forget(key)
        for error in done:
            if error is not None:
                raise error

    async def warm(self, keys: Iterable[K]) -> int:
        """Finds or loads these, so many at once as may; how many are held now."""
        left = iter(keys)

        async def some() -> int:
            done = 0
            for key in left:
                try:
                    await self.get(key)
                    done += 1
                except Exception:
                    pass  # counted as a failure; who asks for it gets it
            return done

        return sum(await asyncio.gather(*(some() for _ in range(self._most))))

    def _forget(self, key: K) -> None:
        self._flights.detach(key)
        self.local.delete(key)

    def forget(self) -> None:
        """Drops all that is held here; Redis keeps what it has."""
        self._flights.detach_all()
        self.local.clear()

    def changed(self, wire: str) -> None:
        """Somebody else has changed a key."""
        self._counts.changed += 1
        for key in self._wires.keys(wire):
            self._forget(key)

    def hears(self, heard: bool) -> None:
        """Whether changes are heard of, from now on."""
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        if heard:
            self.forget()  # what was said meanwhile is lost
        else:
            loop = asyncio.get_running_loop()
            self._forgetting = loop.call_later(self._keep.unheard, self.forget)

    def statistics(self) -> TiersStatistics:
        """A snapshot."""
        hits = self.local.statistics().hits
        return TiersStatistics(hits=hits, under_way=len(self._flights), **asdict(self._counts))
