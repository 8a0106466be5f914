"""The connections to the nodes of a cluster."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from megahertz.backends.redis.address import Address
from megahertz.backends.redis.cluster.topology import Place, Topology
from megahertz.backends.redis.connection import Connection
from megahertz.backends.redis.options import Options
from megahertz.backends.redis.own import Own
from megahertz.engine import Link
from megahertz.errors import BackendError, ConnectError, Overloaded

REFRESH_PAUSE = 0.1
"""Seconds between two looks at who has which slots, however many commands go astray meanwhile."""


@dataclass(slots=True)
class Node:
    """One server of the cluster."""

    place: Place
    connection: Connection
    own: Own

    @property
    def link(self) -> Link:
        """What its commands go through."""
        return self.connection.link

    def close(self) -> None:
        """Ends its connections; what waits fails, and is asked of another."""
        self.connection.close()
        self.own.close()


class Nodes:
    """Those of one cluster, connected to when they are first asked, and who has which slots."""

    def __init__(self, address: Address, options: Options, starts: list[Place]) -> None:
        self._address, self._options, self._starts = address, options, starts
        self._nodes: dict[Place, Node] = {}
        self._replicas: dict[Place, Node] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self.topology = Topology()
        self.refreshed = 0

    def master(self, place: Place) -> Node:
        """The node there."""
        return self._nodes.get(place) or self._new(self._nodes, place)

    def replica(self, place: Place) -> Node:
        """The node there, told that we know that it is a replica."""
        return self._replicas.get(place) or self._new(self._replicas, place)

    def _new(self, among: dict[Place, Node], place: Place) -> Node:
        address = replace(self._address, host=place[0], port=place[1], path=None)
        greeting = [("READONLY",)] if among is self._replicas else []
        connection = Connection(address, self._options, greeting=greeting, lost=self._lost)
        connection.open()
        among[place] = node = Node(place, connection, Own(address, self._options))
        return node

    def _lost(self, _: str) -> None:
        """Its slots may be somebody else's soon."""
        self.refresh()

    def refresh(self) -> asyncio.Task[None]:
        """Asks who has which slots, unless that is being asked."""
        if self._refreshing is None or self._refreshing.done():
            loop = asyncio.get_running_loop()
            self._refreshing = loop.create_task(self._refresh(), name="redis cluster slots")
        return self._refreshing

    async def look(self) -> None:
        """Returns once that was asked, or given up because all is closed."""
        await asyncio.wait([self.refresh()])

    async def known(self) -> None:
        """Returns once somebody has said who has which slots.

        Raises:
            ConnectError: none of the nodes did.
        """
        await self.look()
        if not self.topology.masters:
            tried = ", ".join(f"{host}:{port}" for host, port in self._starts)
            raise ConnectError(f"redis cluster: none of {tried} says who has which slots")

    async def _refresh(self) -> None:
        if self.refreshed:
            await asyncio.sleep(REFRESH_PAUSE)
        candidates = [*self.topology.masters, *self.topology.places, *self._starts]
        for place in dict.fromkeys(candidates):
            link = self.master(place).link
            try:
                patience = min(1.0, self._options.timeout or 1.0)
                said = await link.command(("CLUSTER", "SLOTS"), None, True, patience)
            except (BackendError, Overloaded):
                continue
            self.topology.told(said, place)
            self.refreshed += 1
            self._forget()
            return

    def _forget(self) -> None:
        """Nodes that have no slots any more, once they have answered what they were asked."""
        places = self.topology.places
        for among in (self._nodes, self._replicas):
            idle = [place for place, node in among.items() if not node.link.waiting]
            for place in [place for place in idle if place not in places]:
                among.pop(place).close()

    def each(self, do: Callable[[Node], None]) -> None:
        """Of all that there is a connection to."""
        for node in [*self._nodes.values(), *self._replicas.values()]:
            do(node)

    def close(self) -> None:
        """Ends all connections."""
        if self._refreshing is not None:
            self._refreshing.cancel()
        self.each(Node.close)
        self._nodes.clear()
        self._replicas.clear()

    def statistics(self) -> dict[str, int]:
        """The sum of all connections'."""
        total = {"nodes": 0, "refreshed": self.refreshed}

        def add(node: Node) -> None:
            total["nodes"] += 1
            for name, value in node.link.statistics().items():
                total[name] = total.get(name, 0) + value

        self.each(add)
        return total
