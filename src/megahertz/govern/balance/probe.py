"""Instances asked how they are, whether or not anybody calls them.

Theory: what calls tell of an instance costs calls; an instance that is out is not called, and so
cannot show that it is well. A probe can, at a price that does not grow with the traffic. It is
believed after some in a row, in both directions (HAProxy's rise and fall), as one lost packet is
not an outage, and one lucky answer not a recovery.

Rules: callers that start together must not ask together, so each instance's first probe comes at a
random moment of the interval, and each further one up to a tenth of it earlier or later. Probes
wait for each other nowhere: a slow instance delays only its own. What hangs is a failure, too.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from megahertz.errors import BadSettings
from megahertz.govern.balance.group import Group
from megahertz.govern.balance.instance import Instance
from megahertz.govern.fallback import TROUBLE

log = logging.getLogger("megahertz")

Ask = Callable[[Instance], Awaitable[int]]
"""Asks an instance, and gives the status of its answer; one of `TROUBLE` where there is none."""

JITTER: Final = 0.1
"""Of the interval, by which a probe comes earlier or later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How instances are asked.

    Attributes:
        path: of the request; 200 to 399 is well (Kubernetes).
        timeout: seconds for the answer (the reports' probe_timeout: 3).
        every: seconds between two probes of an instance (their check_interval: 10).
        healthy: in a row, after which one that was out comes back (HAProxy's rise: 2).
        unhealthy: in a row, after which it is out (HAProxy's fall: 3; Kubernetes: 3).

    Raises:
        BadSettings: a number that cannot be.
    """

    path: str = "/health"
    timeout: float = 3.0
    every: float = 10.0
    healthy: int = 2
    unhealthy: int = 3

    def __post_init__(self) -> None:
        if not (self.timeout > 0 and self.every > 0 and self.healthy >= 1 and self.unhealthy >= 1):
            raise BadSettings(f"{self!r}: seconds above 0, numbers of at least 1")
        if not self.path.startswith("/"):
            raise BadSettings(f"{self!r}: a path begins with a slash")


class Prober:
    """Probes the instances of a group, until it is cancelled.

    Args:
        group: is told what is found.
        probe: when and how.
        ask: does it.
        random: numbers from 0 to 1; for tests.
    """

    def __init__(
        self,
        group: Group,
        probe: Probe,
        ask: Ask,
        *,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._group, self._probe, self._ask, self._random = group, probe, ask, random
        self._rows: dict[str, int] = {}
        """How often in a row each was well; below 0: not well."""

    async def run(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        due: dict[str, float] = {}
        async with asyncio.TaskGroup() as probes:
            while True:
                now = loop.time()
                known = {instance.name: instance for instance in self._group.instances}
                due = {name: at for name, at in due.items() if name in known}
                self._rows = {name: row for name, row in self._rows.items() if name in known}
                for name, instance in known.items():
                    # One that is new is asked within the interval, whoever started when.
                    if due.setdefault(name, now + self._random() * self._probe.every) <= now:
                        due[name] = now + self._probe.every * self._spread()
                        probes.create_task(self._look(instance), name=f"probe {name}")
                # Who comes is noticed at the next probe of another, or within the interval.
                soonest = min(due.values(), default=now + self._probe.every)
                await asyncio.sleep(max(0.0, soonest - now))

    def _spread(self) -> float:
        return 1 - JITTER + 2 * JITTER * self._random()

    async def _look(self, instance: Instance) -> None:
        name = instance.name
        well = await self._is_well(instance)
        row = self._rows.get(name, 0)
        row = (max(row, 0) + 1) if well else (min(row, 0) - 1)
        self._rows[name] = row
        if row >= self._probe.healthy:
            self._group.mark(name, healthy=True)
        elif -row >= self._probe.unhealthy:
            if -row == self._probe.unhealthy:
                log.warning("%s: %s is not well, by its probes", self._group.name, name)
            self._group.mark(name, healthy=False)

    async def _is_well(self, instance: Instance) -> bool:
        try:
            async with asyncio.timeout(self._probe.timeout):
                return 200 <= await self._ask(instance) < 400
        except TROUBLE:
            return False
        except Exception:
            log.exception("%s: the probe of %s failed", self._group.name, instance.name)
            return False
