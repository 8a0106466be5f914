"""How long a value is kept, and when it is loaded anew."""

import random
from dataclasses import dataclass
from math import inf

from megahertz.cache.held import early
from megahertz.errors import BadSettings


@dataclass(frozen=True, slots=True)
class Keep:
    """The times of a cache, in seconds.

    Attributes:
        ttl: for which a value is fresh.
        local_ttl: for which a worker holds it; as long as it is fresh where left out.
        stale: beyond its time, for which a value is given while it is loaded anew.
        negative_ttl: for which None is kept; 0: not at all.
        unheard: for which a worker holds values while nobody could tell it that they changed.
        jitter: the share by which these are longer or shorter, at random.
        beta: how early what is slow to load is loaded anew: times the time that this takes
            (`held.early`).

    Raises:
        BadSettings: a number that cannot be.
    """

    ttl: float
    local_ttl: float = inf
    stale: float = 0.0
    negative_ttl: float = 5.0
    unheard: float = 5.0
    jitter: float = 0.05
    beta: float = 1.0

    def __post_init__(self) -> None:
        above = (self.ttl, self.local_ttl, self.unheard)
        least = (self.stale, self.negative_ttl, self.beta, self.jitter)
        good = all(each > 0 for each in above) and all(each >= 0 for each in least)
        if not (good and self.jitter < 1):
            raise BadSettings(
                f"{self}: ttl, local_ttl, unheard above 0, the others from 0, jitter below 1"
            )

    def fresh(self, value: object) -> float:
        """Seconds for a value that was loaded just now."""
        return self.spread(self.negative_ttl if value is None else self.ttl)

    def spread(self, seconds: float) -> float:
        """Longer or shorter, so that what is filled together does not end together."""
        return seconds * random.uniform(1 - self.jitter, 1 + self.jitter)

    def grace(self, value: object) -> float:
        """Seconds beyond; that there is nothing is no answer once it is old."""
        return 0.0 if value is None else self.stale

    def local(
        self, value: object, fresh: float, took: float, *, heard: bool
    ) -> tuple[float, float]:
        """Seconds from which on a worker loads it anew, and for which it holds it.

        Args:
            fresh: seconds left.
            took: seconds that the load took.
            heard: whether it is told of changes.
        """
        most = min(self.spread(self.local_ttl), inf if heard else self.unheard)
        life = min(fresh + self.grace(value), most)
        return min(fresh - early(took, self.beta), life), life
