"""The instances of a service, and which of them gets the next call."""

import asyncio
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from types import TracebackType

from megahertz.clock import Clock, Monotonic
from megahertz.context import EXPIRED, cancel_reason
from megahertz.errors import ConnectError, StatusError
from megahertz.govern.balance.balancer import Balancer
from megahertz.govern.balance.health import Condition, Health
from megahertz.govern.balance.instance import Instance, Peer
from megahertz.govern.balance.p2c import P2C
from megahertz.govern.fallback import TROUBLE, is_trouble

Shape = Callable[[list[Instance]], Iterable[Instance]]


@dataclass(frozen=True, slots=True)
class PeerStatistics:
    """One peer at this moment.

    Attributes:
        name: of its instance.
        share: its weight now; 0 while it is out.
        running: calls under way.
        calls: that have begun since it came.
        failures: of these.
        out: seconds until it is tried again, infinite where its probes decide; 0: it is in.
    """

    name: str
    share: float
    running: int
    calls: int
    failures: int
    out: float


class Group:
    """Shares calls out among the instances of a service.

        orders = Group("orders", instances, balancer=LeastConnections())

        with orders.acquire() as peer:
            await client.get(f"http://{peer.instance.name}/orders/7")

    Peers that fail are left out for a while (`Health`), and those whose probes fail until these
    pass again (`Prober`). Backups are called while nobody else can
    be. Where everybody is out, everybody is tried: a guess is better than a refusal.

    Args:
        name: of the service, for errors and statistics.
        instances: as `update` takes them.
        balancer: who chooses; `P2C()` where left out. Of this group alone.
        health: when a peer is out.
        shape: what is made of the instances that it is told, before it keeps them: `canary`,
            `subset`, a filter of your own.
        on: the errors that are a peer's failure.
        clock: where time comes from, for tests.
    """

    def __init__(
        self,
        name: str,
        instances: Iterable[Instance] = (),
        *,
        balancer: Balancer | None = None,
        health: Health | None = None,
        shape: Shape | None = None,
        on: tuple[type[BaseException], ...] = TROUBLE,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._balancer = P2C() if balancer is None else balancer
        self._health = Health() if health is None else health
        self._shape = shape
        self._on, self._clock = on, clock or Monotonic()
        self._seats: dict[str, _Seat] = {}
        self._callable: list[Peer] = []
        self._unsettled: set[str] = set()
        self.update(instances)

    def update(self, instances: Iterable[Instance]) -> None:
        """These are the instances now; who was one before keeps what is known of it.

        One with a new weight or zone is the same. Calls under way at one that is gone go on.
        """
        now, before = self._clock.now(), self._seats
        if self._shape is not None:
            instances = self._shape(list(instances))
        told = {instance.name: instance for instance in instances}
        for name in before.keys() - told.keys():
            self._balancer.forget(before[name].peer)
        # The first ones are as old as the group: nobody has to wait for them.
        came = now if before else None
        self._seats = {}
        for name, instance in told.items():
            seat = before.get(name) or _Seat(Peer(instance, now), Condition(came))
            seat.peer.instance = instance
            self._seats[name] = seat
        self._unsettled = set(self._seats)
        self._settle(now)

    @property
    def instances(self) -> list[Instance]:
        """As they were told last."""
        return [seat.peer.instance for seat in self._seats.values()]

    def mark(self, name: str, *, healthy: bool) -> None:
        """What a probe of an instance has found; of one that is not in the group, nothing.

        One that is not healthy is out at once, whatever else is known of it, until it is told to
        be healthy; then it comes back as after failures, slowly.
        """
        seat = self._seats.get(name)
        if seat is None or (healthy and not seat.condition.down):
            return
        now = self._clock.now()
        seat.condition.down = not healthy
        if healthy:
            seat.condition.succeeded()
            seat.condition.back(now)
        self._unsettled.add(name)

    def acquire(self, key: bytes | None = None, *, avoid: Collection[str] = ()) -> "Call":
        """A call, to be entered with `with`: that gives the peer, and counts until it ends.

        Args:
            key: what calls that belong together have in common (`ConsistentHash`).
            avoid: names of instances that a retry shall not meet again, where there are others.

        Raises:
            ConnectError: there is no instance, or none with a weight.
        """
        now = self._clock.now()
        if self._unsettled:
            self._settle(now)
        peers = self._callable
        if avoid:
            peers = [peer for peer in peers if peer.instance.name not in avoid] or peers
        if not peers:
            raise ConnectError(
                f"{self.name}: no instance to call; "
                f"{len(self._seats) or 'none'} told by its registry, none with a weight"
            )
        peer = self._balancer.pick(peers, key, now)
        peer.picked = now
        return Call(self, peer, now)

    def _settle(self, now: float) -> None:
        """Who can be called, with what share; only time and failures change it."""
        for name in list(self._unsettled):
            seat = self._seats[name]
            condition = seat.condition
            if condition.out_until is not None and now >= condition.out_until:
                condition.back(now)
            part = condition.part(self._health, now)
            seat.peer.share = seat.peer.instance.weight * part
            if part == 1:
                self._unsettled.discard(name)
        seats = self._seats.values()
        can = [seat.peer for seat in seats if seat.peer.share > 0]
        self._callable = [peer for peer in can if not peer.instance.backup] or can
        if not self._callable:
            self._callable = [seat.peer for seat in seats if seat.peer.instance.weight > 0]
            for peer in self._callable:
                peer.share = peer.instance.weight

    def _began(self, peer: Peer, now: float) -> None:
        peer.running += 1
        peer.begun += now
        seat = self._seats.get(peer.instance.name)
        if seat is not None and seat.peer is peer:
            seat.calls += 1

    def _ended(self, peer: Peer, began: float, failed: bool | None) -> None:
        now = self._clock.now()
        peer.running -= 1
        peer.begun = peer.begun - began if peer.running else 0.0
        seat = self._seats.get(peer.instance.name)
        if failed is None or seat is None or seat.peer is not peer:
            return
        self._balancer.ended(peer, now - began, failed, now)
        if not failed:
            seat.condition.succeeded()
            if seat.condition.out_until is not None:  # everybody was out, and it has answered
                seat.condition.back(now)
            return
        seat.failures += 1
        enough = seat.condition.failed(self._health, now)
        if enough and seat.condition.out_until is None and self._may_leave(peer):
            seat.condition.leave(self._health, now)
            self._unsettled.add(peer.instance.name)

    def _may_leave(self, peer: Peer) -> bool:
        if peer.instance.backup:
            return True
        seats = [seat for seat in self._seats.values() if not seat.peer.instance.backup]
        whole = sum(seat.peer.instance.weight for seat in seats)
        out = sum(
            seat.peer.instance.weight for seat in seats if seat.condition.out_until is not None
        )
        return out + peer.instance.weight <= whole * self._health.most_out

    def covers(self, error: BaseException | None) -> bool | None:
        """Whether an error is the peer's failure; None: it says nothing of the peer."""
        if error is None:
            return False
        if isinstance(error, asyncio.CancelledError):
            return True if cancel_reason() == EXPIRED else None
        if is_trouble(error, self._on):
            return True
        return False if isinstance(error, StatusError) else None

    def statistics(self) -> list[PeerStatistics]:
        """All peers, as they were told."""
        now = self._clock.now()
        self._settle(now)
        found = []
        for name, seat in self._seats.items():
            peer, until = seat.peer, seat.condition.out_until
            out = 0.0 if until is None else until - now
            if seat.condition.down:
                out = math.inf
            share = 0.0 if out else peer.share
            found.append(PeerStatistics(name, share, peer.running, seat.calls, seat.failures, out))
        return found


class _Seat:
    """A peer with what the group knows of it."""

    __slots__ = ("calls", "condition", "failures", "peer")

    def __init__(self, peer: Peer, condition: Condition) -> None:
        self.peer, self.condition = peer, condition
        self.calls = self.failures = 0


class Call:
    """One call to a peer: `with group.acquire() as peer`."""

    __slots__ = ("_began", "_failed", "_group", "peer")

    def __init__(self, group: Group, peer: Peer, now: float) -> None:
        self._group, self.peer, self._began = group, peer, now
        self._failed = False

    def fail(self) -> None:
        """What was answered is a failure of the peer all the same: a 503, a broken body."""
        self._failed = True

    def __enter__(self) -> Peer:
        self._group._began(self.peer, self._began)
        return self.peer

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        failed = True if self._failed else self._group.covers(error)
        self._group._ended(self.peer, self._began, failed)
