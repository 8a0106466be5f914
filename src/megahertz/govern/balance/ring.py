"""Consistent hashing with bounded loads.

Theory: peers stand at many points of a circle, and a key goes to the first point behind its hash:
when a peer comes or goes, only its neighbours' keys move (Karger et al. 1997). A popular key would
fill its peer; so no peer takes more than `bound` times its share of what runs, and a call that
would exceed that goes on to the next one (Mirrokni, Thorup and Zadimoghaddam 2016). As long as
nobody is full the affinity is perfect.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b

from megahertz.errors import BadSettings
from megahertz.govern.balance.instance import Peer
from megahertz.govern.balance.least import LeastConnections

POINTS = 160
"""On the circle for a peer of the mean weight (ketama: 160); the shares are off by some 8 %."""


class ConsistentHash:
    """Calls with the same key go to the same peer, unless it is full; without a key to the least
    loaded.

    Args:
        bound: how far above its share of the running calls a peer may be: 1.25 is 25 % (the
            paper's and HAProxy's; infinite: no bound).
        points: on the circle, for a peer of the mean weight.

    Raises:
        BadSettings: a bound of 1 or less, or no points.
    """

    def __init__(self, bound: float = 1.25, *, points: int = POINTS) -> None:
        if not bound > 1 or points < 1:
            raise BadSettings(f"ConsistentHash({bound}, {points=}): a bound above 1, 1 point")
        self._bound, self._points = bound, points
        self._made: tuple[tuple[str, float], ...] = ()
        self._circle: list[tuple[int, str]] = []
        self._without = LeastConnections()

    def pick(self, peers: Sequence[Peer], key: bytes | None, now: float) -> Peer:
        """The first one behind the key that is not full."""
        if key is None:
            return self._without.pick(peers, key, now)
        circle, found = self._places(peers), {peer.instance.name: peer for peer in peers}
        total = sum(peer.share for peer in peers)
        running = sum(peer.running for peer in peers) + 1
        at = bisect_right(circle, (_hash(key), ""))
        seen: set[str] = set()
        for step in range(len(circle)):
            name = circle[(at + step) % len(circle)][1]
            if name in seen:
                continue
            seen.add(name)
            peer = found[name]
            if peer.running < math.ceil(self._bound * running * peer.share / total):
                return peer
        # Not reached: the bounds together are more than what runs.
        return self._without.pick(peers, key, now)

    def _places(self, peers: Sequence[Peer]) -> list[tuple[int, str]]:
        """The circle; made anew when who stands on it has changed."""
        # By the whole weight: who starts slowly keeps its keys, and only its bound is smaller.
        wanted = tuple((peer.instance.name, peer.instance.weight) for peer in peers)
        if wanted != self._made:
            mean = sum(weight for _, weight in wanted) / len(wanted)
            points = [
                (_hash(f"{name}#{number}".encode()), name)
                for name, weight in wanted
                for number in range(max(1, round(self._points * weight / mean)))
            ]
            self._made, self._circle = wanted, sorted(points)
        return self._circle

    def ended(self, peer: Peer, seconds: float, failed: bool, now: float) -> None:
        """The group counts what runs."""

    def forget(self, peer: Peer) -> None:
        """Its points go with the next circle."""
        self._without.forget(peer)


def _hash(text: bytes) -> int:
    return int.from_bytes(blake2b(text, digest_size=8).digest())
