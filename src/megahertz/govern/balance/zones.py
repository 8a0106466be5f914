"""The nearest zone first, as far as it can take the calls.

Each zone in turn takes the part of the calls that its healthy peers can bear: with `spare` 1.4 all
of them while at least 71 % of its weight is there, else 1.4 times what is left; the rest goes on to
the next zone (Envoy's priority levels, overprovisioning factor 140 %).
"""

import random
from collections.abc import Callable, Sequence

from megahertz.errors import BadSettings
from megahertz.govern.balance.balancer import Balancer
from megahertz.govern.balance.instance import Peer

SPARE = 1.4
"""How much more than its share a peer can bear (Envoy: 1.4)."""


class NearestZone:
    """Balances within the nearest zone that has room.

    Args:
        inner: who chooses within a zone.
        zones: ours first, then the others as they lie; zones that are not named come last, as one.
        spare: see above.
        random: numbers from 0 to 1; for tests.

    Raises:
        BadSettings: no zone, or a spare below 1.
    """

    def __init__(
        self,
        inner: Balancer,
        zones: Sequence[str],
        *,
        spare: float = SPARE,
        random: Callable[[], float] = random.random,
    ) -> None:
        if not zones or spare < 1:
            raise BadSettings(f"NearestZone(zones={zones!r}, {spare=}): a zone, and at least 1")
        self._inner, self._spare, self._random = inner, spare, random
        self._order = {zone: number for number, zone in enumerate(zones)}
        self._weights: dict[int, float] = {}
        self._whole: dict[Peer, tuple[int, float]] = {}

    def pick(self, peers: Sequence[Peer], key: bytes | None, now: float) -> Peer:
        """Of the zone that this call falls to."""
        levels: dict[int, list[Peer]] = {}
        for peer in peers:
            levels.setdefault(self._level(peer), []).append(peer)
        drawn = self._random()
        ordered = sorted(levels)
        for level in ordered[:-1]:
            # What the zone has when all is well: as much as was ever there at once.
            there = sum(peer.share for peer in levels[level])
            bears = min(1.0, self._spare * there / self._weights[level])
            if drawn < bears:
                return self._inner.pick(levels[level], key, now)
            drawn = (drawn - bears) / (1 - bears)
        return self._inner.pick(levels[ordered[-1]], key, now)

    def _level(self, peer: Peer) -> int:
        """Of its zone; the weight of one that is seen for the first time is added to it."""
        level = self._order.get(peer.instance.zone, len(self._order))
        known, weight = self._whole.get(peer, (level, 0.0)), peer.instance.weight
        if known != (level, weight):
            self._weights[known[0]] = self._weights.get(known[0], 0.0) - known[1]
            self._weights[level] = self._weights.get(level, 0.0) + weight
            self._whole[peer] = (level, weight)
        return level

    def ended(self, peer: Peer, seconds: float, failed: bool, now: float) -> None:
        """The inner one learns."""
        self._inner.ended(peer, seconds, failed, now)

    def forget(self, peer: Peer) -> None:
        """Its zone has that much less."""
        level, weight = self._whole.pop(peer, (0, 0.0))
        if level in self._weights:
            self._weights[level] -= weight
        self._inner.forget(peer)
