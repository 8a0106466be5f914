"""What a balancer is to a `Group`."""

from collections.abc import Sequence
from typing import Protocol

from megahertz.govern.balance.instance import Peer


class Balancer(Protocol):
    """Chooses; one object serves one group.

    It is asked and told on one thread. Peers come and go between two questions.
    """

    def pick(self, peers: Sequence[Peer], key: bytes | None, now: float) -> Peer:
        """One of them.

        Args:
            peers: at least one, each with a `share` above 0.
            key: what calls that belong together have in common, where the caller says so.
            now: seconds of the group's clock.
        """
        ...

    def ended(self, peer: Peer, seconds: float, failed: bool, now: float) -> None:
        """A call has ended after so long."""
        ...

    def forget(self, peer: Peer) -> None:
        """It is no longer one of the group."""
        ...
