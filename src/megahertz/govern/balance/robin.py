"""Smooth weighted round robin.

Each choice adds every peer's share to its account, takes the richest, and bills it the sum of all:
shares 5, 1, 1 give a a b a c a a, not five in a row (nginx, commit 52327e0627f4, 2012). One state,
no randomness: over a period of the weights' sum each peer is chosen exactly its weight.
"""

from collections.abc import Sequence

from megahertz.govern.balance.instance import Peer


class RoundRobin:
    """In turn, by weight. It sees neither load nor latency: for calls that cost alike."""

    def __init__(self) -> None:
        self._accounts: dict[Peer, float] = {}

    def pick(self, peers: Sequence[Peer], key: bytes | None, now: float) -> Peer:
        """The one whose turn it is."""
        accounts, total, best = self._accounts, 0.0, peers[0]
        for peer in peers:
            total += peer.share
            accounts[peer] = accounts.get(peer, 0.0) + peer.share
            if accounts[peer] > accounts[best]:
                best = peer
        accounts[best] -= total
        return best

    def ended(self, peer: Peer, seconds: float, failed: bool, now: float) -> None:
        """Nothing to learn."""

    def forget(self, peer: Peer) -> None:
        """Its account is closed."""
        self._accounts.pop(peer, None)
