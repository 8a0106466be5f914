"""Calls to a service of many instances, with everything that is known of failing.

Theory: each try of a call is one pick of the group's balancer, inside one breaker, with a time of
its own; a further try, behind the first (`Retry`) or beside it (`Hedge`), meets an instance that
the call has not met, where there is one. An instance whose breaker is open costs no try: the next
one is picked. What comes of a try is what the group learns.

Rules: a hedge, and a retry after an error that leaves open whether it was done, are for calls that
may be done twice; the caller says so. Retries and hedges have budgets of their own, and none begins
that could not end before the deadline.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from megahertz.errors import BadSettings, BreakerOpen
from megahertz.govern.balance import Group, Instance, PeerStatistics, Probe
from megahertz.govern.breaker import Breaker, BreakerStatistics
from megahertz.govern.hedge import Hedge, HedgeStatistics
from megahertz.govern.retry import Retry, RetryStatistics

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class UpstreamStatistics:
    """A service as its callers see it.

    Attributes:
        peers: each instance.
        breakers: by instance; those that were called.
        retry: None: there is none.
        hedge: None: there is none.
    """

    peers: list[PeerStatistics]
    breakers: dict[str, BreakerStatistics]
    retry: RetryStatistics | None
    hedge: HedgeStatistics | None


class Upstream:
    """A service behind a `Group`.

        orders = Upstream(Group("orders", instances), retry=Retry(), per_try=0.1)
        client = Client("http://orders", upstream=orders)

    Args:
        group: its instances, and who chooses among them.
        retry: further tries; its `idempotent` is each call's own here.
        hedge: a second try beside a slow first one, of calls that may be done twice.
        breaker: a pattern: each instance has one with its rules, in this process.
        per_try: seconds of one try; None: what the call has.
        probe: asks the instances how they are while a client is open.

    Raises:
        BadSettings: no time for a try, or a breaker with a fallback.
    """

    def __init__(
        self,
        group: Group,
        *,
        retry: Retry | None = None,
        hedge: Hedge | None = None,
        breaker: Breaker | None = None,
        per_try: float | None = None,
        probe: Probe | None = None,
    ) -> None:
        if per_try is not None and not per_try > 0:
            raise BadSettings(f"Upstream({per_try=}): more than 0 seconds")
        if breaker is not None and breaker.fallback is not None:
            raise BadSettings("Upstream(breaker=): a fallback is for calls, not for their tries")
        self.group, self.per_try, self.probe = group, per_try, probe
        self._retry, self._hedge, self._pattern = retry, hedge, breaker
        self._breakers: dict[str, Breaker] = {}

    async def run(
        self,
        call: Callable[[Instance], Awaitable[R]],
        *,
        key: bytes | None = None,
        idempotent: bool = False,
        again: bool = True,
        beside: bool = True,
    ) -> R:
        """What `call` gives for an instance.

        Args:
            call: one try; the error that it raises is the instance's failure, where the group's
                `on` has it.
            key: for the balancer.
            idempotent: whether it may be done twice.
            again: False where it cannot be, whatever it means: its body was read.
            beside: False where two answers at once are of no use: they are streamed.

        Raises:
            ConnectError: there is no instance.
            BreakerOpen: no instance whose breaker is closed.
            others: of the last try.
        """
        met: set[str] = set()
        once: Callable[[], Awaitable[R]] = partial(self._try, call, key, met)
        if self._hedge is not None and idempotent and again and beside:
            once = partial(self._hedge.run, once)
        if self._retry is None or not again:
            return await once()
        async for attempt in self._retry.tries(idempotent):
            async with attempt:
                return await once()
        raise AssertionError("the last attempt returns or raises")

    async def _try(
        self, call: Callable[[Instance], Awaitable[R]], key: bytes | None, met: set[str]
    ) -> R:
        """At an instance that this call has not met, where there is one."""
        refused: set[str] = set()
        while True:
            picked = self.group.acquire(key, avoid=met | refused)
            name = picked.peer.instance.name
            breaker = self._breaker(name)
            if breaker is None:
                met.add(name)
                with picked as peer:
                    return await call(peer.instance)
            begun = False

            async def once() -> R:
                nonlocal begun
                begun = True
                met.add(name)  # noqa: B023 - it is run before the next turn
                with picked as peer:  # noqa: B023
                    return await call(peer.instance)

            try:
                return await breaker.run(once)
            except BreakerOpen:
                if begun or name in refused:
                    raise
                refused.add(name)

    def _breaker(self, name: str) -> Breaker | None:
        if self._pattern is None:
            return None
        found = self._breakers.get(name)
        if found is None:
            # One that is new is the occasion to forget those of instances that are gone.
            for gone in self._breakers.keys() - {it.name for it in self.group.instances}:
                del self._breakers[gone]
            found = self._breakers[name] = self._pattern.sibling()
        return found

    def statistics(self) -> UpstreamStatistics:
        """A snapshot."""
        return UpstreamStatistics(
            self.group.statistics(),
            {name: breaker.statistics() for name, breaker in self._breakers.items()},
            None if self._retry is None else self._retry.statistics(),
            None if self._hedge is None else self._hedge.statistics(),
        )
