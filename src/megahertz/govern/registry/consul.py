"""A registry in Consul.

Health becomes weight. With `left` = 100 - latency / 10 ms, where a check of the instance says
`latency_ms=`, else 100: while all checks pass `left`, at least 1; with a warning `left`, but from
20 to 69; where one is critical the instance is not told of. That times the weight which the
instance has registered itself.
"""

import asyncio
import logging
import random
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from megahertz.backends import Consul, consul
from megahertz.errors import BadSettings, MegahertzError
from megahertz.govern.balance import Instance
from megahertz.govern.registry.registration import LINGER, Lost, Registration

log = logging.getLogger("megahertz")

WAIT: Final = 60.0
"""Seconds that a query waits for a change; Consul's default is 300, of which a proxy knows
nothing."""

TTL: Final = 10.0
"""Seconds after which an instance that has not been heard of is critical (Kratos: 10 s)."""

REST: Final = 0.1
"""Seconds between two answers: a service that changes all the time is not a busy loop (Consul's
documentation asks for a limit of the client's own)."""

_LATENCY = re.compile(r"\blatency_ms=([0-9]{1,9}(?:\.[0-9]{1,9})?)", re.ASCII)


class ConsulRegistry:
    """Instances of an agent's catalogue.

    Args:
        consul: the agent.
        wait: seconds that a query waits, at most 600.
        ttl: seconds that a registered instance may not be heard of.
        forget: seconds that it is critical, after which Consul forgets it, at least 60.
    """

    def __init__(
        self, consul: Consul, *, wait: float = WAIT, ttl: float = TTL, forget: float = 60.0
    ) -> None:
        if not (0 < wait <= 600 and ttl > 0 and forget >= 60):
            raise BadSettings(f"ConsulRegistry({wait=}, {ttl=}, {forget=}): see its docs")
        self._consul, self._wait, self._ttl, self._forget = consul, wait, ttl, forget

    async def watch(self, service: str) -> AsyncGenerator[Sequence[Instance], None]:
        """As `Registry.watch`, by blocking queries."""
        index, before = 0, None
        while True:
            # Those that have waited together do not come back together.
            wait = self._wait * random.uniform(0.9, 1.0)
            seen = await self._consul.health(service, index=index, wait=wait)
            index = seen.index
            found = _instances(seen.instances)
            if found != before:
                before = found
                yield found
            await asyncio.sleep(REST)

    def register(
        self,
        service: str,
        instance: Instance,
        *,
        probe: str | None = None,
        latency: Callable[[], float] | None = None,
        linger: float = LINGER,
    ) -> Registration:
        """As `Registrar.register`.

        Args:
            service: its name.
            instance: what is told.
            probe: a URL that the agent asks every 10 s with 3 s of patience; None: we tell the
                agent that we live, within the TTL.
            latency: seconds that a call takes just now, for the weight; not with `probe`.
            linger: seconds between leaving the registry and refusing calls.

        Raises:
            BadSettings: both a probe and a latency.
        """
        if probe is not None and latency is not None:
            raise BadSettings(f"{service}: a latency is told by ourselves, not by a probe")
        # Of each worker its own, as they come and go by themselves.
        own = f"{service}-{instance.name}-{uuid.uuid4().hex[:12]}"

        @asynccontextmanager
        async def hold() -> AsyncIterator[Lost]:
            await self._consul.register(self._definition(own, service, instance, probe))
            try:
                yield lambda: self._lost(own, probe is None, latency)
            except asyncio.CancelledError:  # it is the end of it
                await self._leave(own)
                raise

        return Registration(f"{service} {instance.name}", hold, linger=linger)

    def _definition(
        self, own: str, service: str, instance: Instance, probe: str | None
    ) -> dict[str, Any]:
        check: dict[str, Any] = {
            "CheckID": own,
            "Name": f"{service} lives",
            "Status": "passing",
            "DeregisterCriticalServiceAfter": f"{self._forget:g}s",
        }
        if probe is None:
            check["TTL"] = f"{self._ttl:g}s"
        else:
            check |= {"HTTP": probe, "Interval": "10s", "Timeout": "3s"}
        meta = {**instance.labels, "weight": f"{instance.weight:g}", "zone": instance.zone}
        if instance.backup:
            meta["backup"] = "true"
        return {
            "ID": own,
            "Name": service,
            "Address": instance.host,
            "Port": instance.port,
            "Meta": meta,
            "Check": check,
        }

    async def _lost(self, own: str, told: bool, latency: Callable[[], float] | None) -> str:
        while True:
            await asyncio.sleep(self._ttl / 3 * random.uniform(0.8, 1.0))
            output = "" if latency is None else f"latency_ms={latency() * 1000:.1f}"
            if told:
                known = await self._consul.update(own, "passing", output)
            else:
                known = await self._consul.knows(own)
            if not known:
                return "the agent does not know it any more"

    async def _leave(self, own: str) -> None:
        try:
            await self._consul.deregister(own)
        except MegahertzError:
            pass  # its TTL runs out


def _instances(found: Sequence[consul.Health]) -> list[Instance]:
    """Each address once, the healthiest; in an order that says nothing."""
    told: dict[str, Instance] = {}
    for health in found:
        share = _share(health)
        if not share:
            continue
        try:
            instance = _instance(health, share)
        except BadSettings as error:
            log.error("consul's %s is no instance, and left out: %s", health.service.id, error)
            continue
        known = told.get(instance.name)
        if known is None or known.weight < instance.weight:
            told[instance.name] = instance
    return sorted(told.values(), key=lambda it: it.name)


def _share(health: consul.Health) -> float:
    """Of 100; 0 where it is critical."""
    if health.status == "critical":
        return 0.0
    said = [found[1] for it in health.checks if (found := _LATENCY.search(it.output))]
    left = 100.0 - max(map(float, said), default=0.0) / 10
    return max(1.0, left) if health.status == "passing" else min(69.0, max(20.0, left))


def _instance(health: consul.Health, share: float) -> Instance:
    meta = dict(health.service.meta or {})
    try:
        weight = float(meta.pop("weight", 1))
    except ValueError:
        weight = 1.0  # somebody else's word
    return Instance(
        host=health.service.address or health.node.address,
        port=health.service.port,
        weight=weight * share,
        zone=meta.pop("zone", ""),
        backup=meta.pop("backup", "") == "true",
        labels=meta,
    )
