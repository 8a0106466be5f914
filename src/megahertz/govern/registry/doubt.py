"""Whether so many can have gone at once.

Theory: an instance that goes is believed gone at once, for that is what a registry is for. But
where more than half of them go within a short time it is more often the registry that is ill than
the service: it stood still, and all leases ran out together; it was restored from a backup; it was
cut off from those who renew. So those are kept for a while, in which they may be told of again;
who is really gone is found by the calls (`Health`), and goes when its time is over. An empty list
that stays is so believed too, only later. Eureka calls it self-preservation (from 15 % on), Nacos a
protect threshold; Envoy's panic threshold, 50 %, is the same for health checks.
"""

from collections.abc import Sequence

from megahertz.govern.balance import Instance


class Doubt:
    """What is believed of the lists that come.

    Args:
        grace: seconds that those are kept who went with too many others; 0: none is.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._told: dict[str, Instance] = {}
        self._gone: dict[str, tuple[float, Instance]] = {}

    def hear(self, instances: Sequence[Instance], now: float) -> None:
        """They are what the registry tells since `now`, in seconds."""
        told = {it.name: it for it in instances}
        for name, instance in self._told.items():
            if name not in told:
                self._gone[name] = (now, instance)
        for name in told:
            self._gone.pop(name, None)
        self._told = told

    def renew(self, now: float) -> None:
        """Nobody could tell for a while: those who went may be told of again from `now` on."""
        self._gone = {name: (now, it) for name, (_, it) in self._gone.items()}

    def believed(self, now: float) -> tuple[list[Instance], float | None]:
        """The instances to call, and when to ask again; None: not before the next list."""
        for name, (at, _) in list(self._gone.items()):
            if now >= at + self._grace:
                del self._gone[name]
        known = list(self._told.values())
        if len(self._gone) <= len(known):
            return known, None
        kept = [instance for _, instance in self._gone.values()]
        return known + kept, min(at for at, _ in self._gone.values()) + self._grace
