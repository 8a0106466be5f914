"""A client of a Redis Cluster."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Mapping
from dataclasses import replace
from random import uniform
from typing import Any, Literal, Self

from megahertz.backends.redis.address import Address, from_url
from megahertz.backends.redis.client import PLACES, settled
from megahertz.backends.redis.cluster.keys import key_of, slot
from megahertz.backends.redis.cluster.nodes import Node, Nodes
from megahertz.backends.redis.cluster.pipeline import ClusterPipeline
from megahertz.backends.redis.cluster.topology import Place, Shard, redirected
from megahertz.backends.redis.commands import Commands, Convert, Free, Words
from megahertz.backends.redis.commands.words import Key, Keys, Value, several
from megahertz.backends.redis.lock import Lock
from megahertz.backends.redis.subscriber import PubSub
from megahertz.backends.redis.told import told
from megahertz.engine import Reply
from megahertz.errors import ConnectError, ReadError, ReplyError
from megahertz.observe import tells

ReadFrom = Literal["master", "replica", "any"]

_AGAIN = ("TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY")
"""The server has done nothing, and may later, or another may."""

REFERRALS = 5
"""Nodes that name each other: at every fifth there is a pause. go-redis follows 3 at most."""


class RedisCluster(Commands, Free):
    """`Redis` over many servers: each key's commands go to who has its slot.

    A command that a node refers to another (MOVED, ASK) follows; one that could not be sent, or
    that only reads, is tried for as long as `patience` while the cluster finds a new master. What
    may have been done fails as `ReadError`, as on one server.

    Args:
        host: of any node; others are heard of from it.
        nodes: more of them, `(host, port)`, in case that one is away.
        read_from: "replica" or "any" lets commands that only read be answered by replicas, which
            may be behind.
        patience: seconds that a command of which nothing was done is tried again.
        options: as of `Redis`.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 6379,
        *,
        nodes: Iterable[Place] = (),
        read_from: ReadFrom = "master",
        patience: float = 10.0,
        username: str | None = None,
        password: str | None = None,
        ssl: bool = False,
        ssl_ca_certs: str | None = None,
        ssl_certfile: str | None = None,
        ssl_keyfile: str | None = None,
        **options: Any,
    ) -> None:
        address = Address(
            host=host,
            port=int(port),
            username=username,
            password=password,
            tls=ssl,
            ca_certs=ssl_ca_certs,
            certfile=ssl_certfile,
            keyfile=ssl_keyfile,
        )
        self._begin(address, nodes, read_from, patience, options)

    def _begin(
        self,
        address: Address,
        nodes: Iterable[Place],
        read_from: ReadFrom,
        patience: float,
        options: Mapping[str, Any],
    ) -> None:
        # A node that is away is no reason to wait: another may have its slots by now. One that is
        # back is to be noticed well within a second (go-redis: 0.5 s).
        chosen = {"retries": 1, "longest_backoff": 0.5, **options}
        self.address, self.options = address, settled(chosen)
        self._starts = [(address.host, address.port), *nodes]
        self._nodes = Nodes(address, self.options, self._starts)
        tells(self)
        self.read_from, self._patience = read_from, patience
        self._turn = itertools.count()
        self._redirected = self._tried_again = 0
        self._command = self._route

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        nodes: Iterable[Place] = (),
        read_from: ReadFrom = "master",
        patience: float = 10.0,
        **options: Any,
    ) -> Self:
        """`redis://user:password@host:7000`, of any node."""
        address, query = from_url(url)
        place = {name: options.pop(name) for name in PLACES if name in options}
        client = cls.__new__(cls)
        address = replace(address, **place)
        client._begin(address, nodes, read_from, patience, {**query, **options})
        return client

    def _route(
        self,
        words: Words,
        convert: Convert | None = None,
        repeat: bool = False,
        timeout: float | None = None,
        raw: bool = False,
    ) -> Coroutine[Any, Any, Any]:
        return self._asked((words, convert, repeat, timeout, raw), self._end())

    def _end(self) -> float:
        """When what is asked now is given up."""
        return asyncio.get_running_loop().time() + self._patience

    def _asked(self, command: tuple[Any, ...], until: float) -> Coroutine[Any, Any, Any]:
        words, _, repeat, *_ = command
        key = key_of(words)
        node = self._node(None if key is None else slot(key), repeat)
        # Sent here, not when it is awaited: commands of one turn leave together.
        reply = None if node is None else node.link.command(*command)
        return self._follow(command, key, node, reply, until)

    def _node(self, number: int | None, reads: bool) -> Node | None:
        """Who is asked; None: nobody knows yet."""
        topology = self._nodes.topology
        if number is None:
            masters = topology.masters
            return self._nodes.master(masters[0]) if masters else None
        shard = topology.shard(number)
        if shard is None:
            return None
        return self._reader(shard) if reads else self._nodes.master(shard.master)

    def _reader(self, shard: Shard) -> Node:
        if self.read_from == "master" or not shard.replicas:
            return self._nodes.master(shard.master)
        turn = next(self._turn)
        if self.read_from == "any" and turn % (len(shard.replicas) + 1) == 0:
            return self._nodes.master(shard.master)
        return self._nodes.replica(shard.replicas[turn % len(shard.replicas)])

    async def _follow(
        self,
        command: tuple[Any, ...],
        key: Any,
        node: Node | None,
        reply: Reply | None,
        until: float,
    ) -> Any:
        """The reply, wherever it is to be had."""
        loop, pause, referred = asyncio.get_running_loop(), 0.01, 0
        repeat = command[2]
        while True:
            try:
                if node is None or reply is None:
                    node = await self._found(key, repeat)
                    reply = node.link.command(*command)
                return await reply
            except ReplyError as error:
                if loop.time() > until:
                    raise
                kind = error.kind
                if kind in ("MOVED", "ASK") and node is not None:
                    referred += 1
                    if referred % REFERRALS:
                        node, reply = self._refer(str(error).split(" "), node, command)
                        continue
                elif kind not in _AGAIN:
                    raise
            except (ConnectError, ReadError) as error:
                if loop.time() > until or (isinstance(error, ReadError) and not repeat):
                    self._nodes.refresh()
                    raise
            self._tried_again += 1
            await asyncio.sleep(uniform(pause / 2, pause))
            pause = min(pause * 2, 0.2)
            await self._nodes.look()
            node = reply = None

    async def _found(self, key: Any, reads: bool) -> Node:
        number = None if key is None else slot(key)
        # Who was known to have it did not answer: a replica is not asked a second time.
        node = self._node(number, False) if self._nodes.topology.masters else None
        if node is None:
            await self._nodes.known()
            node = self._node(number, reads)
        if node is None:
            raise ConnectError(f"redis cluster: nobody has slot {number}")
        return node

    def _refer(self, words: list[str], node: Node, command: tuple[Any, ...]) -> tuple[Node, Reply]:
        """To the node that a node has named."""
        self._redirected += 1
        number, place = redirected(words, node.place)
        there = self._nodes.master(place)
        if words[0] == "MOVED":
            self._nodes.topology.moved(number, place)
            self._nodes.refresh()
            return there, there.link.command(*command)
        asked, convert, _, timeout, _ = command
        return there, there.link.pipeline([("ASKING",), asked], _second(convert), False, timeout)

    def _blocking(self, words: Words, convert: Convert | None, seconds: float) -> Awaitable[Any]:
        return self._blocked(words, convert, seconds)

    async def _blocked(self, words: Words, convert: Convert | None, seconds: float) -> Any:
        timeout = self.options.timeout
        patience = seconds + timeout if seconds and timeout is not None else 0.0
        key = key_of(words)
        for left in reversed(range(REFERRALS)):
            node = await self._found(key, False)
            try:
                return await node.own.command(words, convert, patience)
            except ReplyError as error:
                if error.kind != "MOVED" or not left:
                    raise
                number, place = redirected(str(error).split(" "), node.place)
                self._nodes.topology.moved(number, place)

    async def on_each(self, *words: Any) -> list[Any]:
        """A command on every master: the list of their replies."""
        await self._nodes.known()
        masters = [self._nodes.master(place) for place in self._nodes.topology.masters]
        return await asyncio.gather(*(node.link.command(words) for node in masters))

    async def _every(self, words: Words) -> bool:
        await self.on_each(*words)
        return True

    def flushdb(self, asynchronous: bool = False) -> Awaitable[bool]:
        """On every master."""
        return self._every(("FLUSHDB", *(("ASYNC",) if asynchronous else ())))

    def flushall(self, asynchronous: bool = False) -> Awaitable[bool]:
        """On every master."""
        return self._every(("FLUSHALL", *(("ASYNC",) if asynchronous else ())))

    async def dbsize(self) -> int:
        """Keys of all masters together."""
        return sum(await self.on_each("DBSIZE"))

    async def keys(self, pattern: Key = "*") -> list[Any]:
        """Of all masters."""
        return [key for found in await self.on_each("KEYS", pattern) for key in found]

    async def scan_iter(
        self, match: Key | None = None, count: int | None = None, _type: str | None = None
    ) -> AsyncIterator[Any]:
        """All keys, master by master."""
        await self._nodes.known()
        for place in self._nodes.topology.masters:
            scan = _Scan(self._nodes.master(place))
            async for key in scan.scan_iter(match, count, _type):
                yield key

    def delete(self, *names: Key) -> Awaitable[int]:
        """Deletes keys of any slots, those of one slot at once."""
        return self._split("DEL", names)

    def unlink(self, *names: Key) -> Awaitable[int]:
        """The same; servers free them later."""
        return self._split("UNLINK", names)

    def exists(self, *names: Key) -> Awaitable[int]:
        """How many of them there are."""
        return self._split("EXISTS", names)

    def touch(self, *args: Key) -> Awaitable[int]:
        """Counts as a use of them."""
        return self._split("TOUCH", args)

    async def _split(self, name: str, keys: Iterable[Key]) -> int:
        reads = name == "EXISTS"
        groups = by_slot(keys).values()
        found = await asyncio.gather(
            *(self._command((name, *group), None, reads) for group in groups)
        )
        return sum(found)

    async def mget_nonatomic(self, keys: Keys, *args: Key) -> list[Any]:
        """Values of keys of any slots, those of one slot at once."""
        wanted = several(keys, args)
        groups = by_slot(wanted).values()
        replies = await asyncio.gather(*(self.mget(group) for group in groups))
        pairs = zip(groups, replies, strict=True)
        found = {
            key: value for group, values in pairs for key, value in zip(group, values, strict=True)
        }
        return [found[key] for key in wanted]

    async def mset_nonatomic(self, mapping: Mapping[Any, Value]) -> bool:
        """Sets keys of any slots, those of one slot at once."""
        groups = by_slot(mapping).values()
        each = ({key: mapping[key] for key in group} for group in groups)
        return all(await asyncio.gather(*(self.mset(part) for part in each)))

    def pipeline(self, transaction: bool = False, shard_hint: str | None = None) -> ClusterPipeline:
        """Commands to be sent together, to each node its own; a transaction is of one slot."""
        return ClusterPipeline(self, transaction=transaction)

    def pubsub(self, *, ignore_subscribe_messages: bool = False, **_: Any) -> PubSub:
        """A subscriber at one of the nodes: it hears what is published at any."""
        ignores = ignore_subscribe_messages
        return PubSub(
            self.address, self.options, ignore_subscribe_messages=ignores, locate=self._some_node
        )

    async def _some_node(self) -> Place:
        """Each time another: the one that was asked before may be away."""
        places = self._nodes.topology.masters or self._starts
        return places[next(self._turn) % len(places)]

    def lock(self, name: str, timeout: float | None = None, **options: Any) -> Lock:
        """A lock in the slot of its name; see `Lock`."""
        return Lock(self, name, timeout=timeout, **options)

    async def initialize(self) -> Self:
        """Connects now; raises where no node answers."""
        await self._nodes.known()
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes every connection; commands that wait fail. The next one opens them again."""
        self._nodes.close()
        self._nodes = Nodes(self.address, self.options, self._starts)
        await asyncio.sleep(0)

    def figures(self) -> Iterable[tuple[str, float]]:
        """For `/metrics`."""
        return told(self.statistics(), str(self.address))

    def statistics(self) -> dict[str, int]:
        """Of all connections together, and `nodes`, `refreshed`, `redirected`, `tried_again`."""
        counted = self._nodes.statistics()
        return {**counted, "redirected": self._redirected, "tried_again": self._tried_again}


class _Scan(Commands):
    """One node, for what goes on where it began."""

    def __init__(self, node: Node) -> None:
        self._command = node.link.command


def by_slot(keys: Iterable[Key]) -> dict[int, list[Key]]:
    """Keys that may be in one command."""
    groups: dict[int, list[Key]] = {}
    for key in keys:
        groups.setdefault(slot(key), []).append(key)
    return groups


def _second(convert: Convert | None) -> Convert:
    """The reply behind that of ASKING."""

    def second(replies: list[Any]) -> Any:
        if isinstance(replies[1], Exception):
            raise replies[1]
        return replies[1] if convert is None else convert(replies[1])

    return second
