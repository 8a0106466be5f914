"""Power of two choices, by latency.

Theory: of two peers drawn at random the less loaded one is nearly as good as the least loaded of
all, and callers that know nothing of each other do not run to the same one (Mitzenmacher 2001). The
load of a peer is what a call would wait there: its latency, times the calls that run, this one
included. The latency is an average that rises at once and falls over `tau` seconds (finagle's peak
EWMA). While calls hang nothing is measured, so where those under way have taken longer than the
average already, their age is believed instead (Kratos calls it prediction).

A peer that fails at once looks fast; its load is divided by its share of successes, squared. One
that has not been chosen for a second is drawn where it comes up: else it could never show that it
has become better (go-zero).
"""

import math
import random
from collections.abc import Callable, Sequence

from megahertz.errors import BadSettings
from megahertz.govern.balance.instance import Peer

TAU = 10.0
"""Seconds after which a measurement counts for 37 % (finagle's decay: 10 s)."""

FORGOTTEN = 1.0
"""Seconds without a call after which a peer is tried where it is drawn (go-zero: 1 s)."""

LEAST_SUCCESS = 0.05
"""A peer of which nothing succeeds gets as little as one that is 400 times as slow."""


class _Seen:
    """What was measured of a peer."""

    __slots__ = ("at", "latency", "success")

    def __init__(self) -> None:
        self.at = -math.inf
        self.latency = 0.0
        self.success = 1.0


class P2C:
    """The better of two that are drawn by weight: for most services the one to take.

    Args:
        tau: seconds over which it forgets.
        forgotten: seconds after which a peer that nobody chose is tried.
        random: numbers from 0 to 1; for tests.

    Raises:
        BadSettings: a number that cannot be.
    """

    def __init__(
        self,
        tau: float = TAU,
        *,
        forgotten: float = FORGOTTEN,
        random: Callable[[], float] = random.random,
    ) -> None:
        if not (tau > 0 and forgotten > 0):
            raise BadSettings(f"P2C({tau}, {forgotten=}): both above 0")
        self._tau, self._forgotten, self._random = tau, forgotten, random
        self._seen: dict[Peer, _Seen] = {}

    def pick(self, peers: Sequence[Peer], key: bytes | None, now: float) -> Peer:
        """The better of two; with one there is no choice."""
        if len(peers) == 1:
            return peers[0]
        one, other = self._drawn(peers)
        if self._load(other, now) < self._load(one, now):
            one, other = other, one
        return other if now - other.picked > self._forgotten else one

    def _drawn(self, peers: Sequence[Peer]) -> tuple[Peer, Peer]:
        """Two different ones, each by its share: the load says nothing of an idle peer's size."""
        shares = [peer.share for peer in peers]
        first = _index(shares, self._random())
        one, shares[first] = peers[first], 0.0
        return one, peers[_index(shares, self._random())]

    def _load(self, peer: Peer, now: float) -> float:
        """What a call would wait, in seconds; relative where nothing is known."""
        seen = self._seen.get(peer)
        if seen is None:
            # Nobody knows: try it once, and wait for what comes of that.
            return math.inf if peer.running else 0.0
        wait = max(seen.latency, peer.age(now))
        return wait * (peer.running + 1) / peer.share / max(seen.success, LEAST_SUCCESS) ** 2

    def ended(self, peer: Peer, seconds: float, failed: bool, now: float) -> None:
        """Measures; a failure says nothing of the latency, unless it took longer."""
        seen = self._seen.setdefault(peer, _Seen())
        kept = math.exp(-(now - seen.at) / self._tau)
        seen.success = seen.success * kept + (0.0 if failed else 1.0) * (1 - kept)
        if seconds >= seen.latency:
            seen.latency = seconds
        elif not failed:
            seen.latency = seen.latency * kept + seconds * (1 - kept)
        seen.at = now

    def forget(self, peer: Peer) -> None:
        """With all that was measured."""
        self._seen.pop(peer, None)


def _index(shares: Sequence[float], at: float) -> int:
    """Where a part of the sum falls; never on a share of 0."""
    left = at * sum(shares)
    last = 0
    for index, share in enumerate(shares):
        if share <= 0:
            continue
        last = index
        left -= share
        if left < 0:
            break
    return last
