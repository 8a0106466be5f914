"""Who has which slots: as CLUSTER SLOTS says, and as MOVED corrects it."""

from dataclasses import dataclass
from typing import Any

from megahertz.backends.redis.cluster.keys import SLOTS
from megahertz.backends.redis.commands.words import text

Place = tuple[str, int]
"""Host and port of a node."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Nodes with the same slots."""

    master: Place
    replicas: tuple[Place, ...] = ()


class Topology:
    """The slots as they were last heard of."""

    def __init__(self) -> None:
        self._slots: list[Shard | None] = [None] * SLOTS
        self._shards: dict[Place, Shard] = {}

    def shard(self, slot: int) -> Shard | None:
        """Who has a slot; None: nobody that we know."""
        return self._slots[slot]

    @property
    def masters(self) -> list[Place]:
        """Every master with slots."""
        return list(self._shards)

    @property
    def places(self) -> set[Place]:
        """Every node of a shard."""
        shards = self._shards.values()
        return {place for shard in shards for place in (shard.master, *shard.replicas)}

    def moved(self, slot: int, place: Place) -> None:
        """A slot is somewhere else."""
        self._slots[slot] = self._shards.setdefault(place, Shard(place))

    def told(self, reply: Any, asked: Place) -> None:
        """Takes over what CLUSTER SLOTS said; a node without a name is the one that was asked."""
        slots: list[Shard | None] = [None] * SLOTS
        shards: dict[Place, Shard] = {}
        for first, last, *nodes in reply:
            places = [_place(node, asked) for node in nodes]
            shard = shards.setdefault(places[0], Shard(places[0], tuple(places[1:])))
            slots[first : last + 1] = [shard] * (last + 1 - first)
        self._slots, self._shards = slots, shards


def _place(node: Any, asked: Place) -> Place:
    host = "" if node[0] is None else text(node[0])
    return (host if host not in ("", "?") else asked[0]), int(node[1])


def redirected(words: list[str], asked: Place) -> tuple[int, Place]:
    """Slot and node of `MOVED 3999 127.0.0.1:6381` (or ASK)."""
    host, _, port = words[2].rpartition(":")
    return int(words[1]), (host or asked[0], int(port))
