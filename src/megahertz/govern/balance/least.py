"""Weighted least connections: the peer with the fewest calls under way for its share."""

from collections.abc import Sequence

from megahertz.govern.balance.instance import Peer
from megahertz.govern.balance.robin import RoundRobin


class LeastConnections:
    """The least loaded, counted by this process's own calls; among equals in turn.

    A slow peer keeps its calls longer, and so gets fewer. Between processes that cannot see each
    other's calls `P2C` spreads better: they do not all choose the same one.
    """

    def __init__(self) -> None:
        self._among = RoundRobin()

    def pick(self, peers: Sequence[Peer], key: bytes | None, now: float) -> Peer:
        """The one with the least for its share, this call included."""
        least = min((peer.running + 1) / peer.share for peer in peers)
        # Shares are floats: equals may differ in the last bit.
        equals = [peer for peer in peers if (peer.running + 1) / peer.share <= least * (1 + 1e-9)]
        return equals[0] if len(equals) == 1 else self._among.pick(equals, key, now)

    def ended(self, peer: Peer, seconds: float, failed: bool, now: float) -> None:
        """The group counts what runs."""

    def forget(self, peer: Peer) -> None:
        """Its turns are over."""
        self._among.forget(peer)
