"""Commands of several slots that leave together: to each node its own, joined in their order."""

import asyncio
from collections.abc import Awaitable, Generator, Sequence
from functools import partial
from typing import Any, Protocol, Self

from megahertz.backends.redis.cluster.keys import key_of, slot
from megahertz.backends.redis.cluster.nodes import Node
from megahertz.backends.redis.commands import Commands, Convert, Script, Words
from megahertz.backends.redis.pipeline import Queued, converted, first_error, of_transaction
from megahertz.errors import ConnectError, Misused, ReadError, ReplyError

_ELSEWHERE = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY")

TRIES = 5
"""Of a transaction whose slot is somewhere else each time; go-redis follows 3 redirections."""


class Routes(Protocol):
    """What a pipeline needs of its cluster."""

    async def initialize(self) -> Any: ...

    def _node(self, number: int | None, reads: bool) -> Node | None: ...

    def _end(self) -> float: ...

    def _asked(self, command: tuple[Any, ...], until: float) -> Awaitable[Any]: ...


class ClusterPipeline(Commands):
    """As `Pipeline`; what a node refers to another is asked there, behind the others of its key.

    Without WATCH: what is watched and what is changed has to be on one connection.
    """

    def __init__(self, cluster: Routes, *, transaction: bool = False) -> None:
        self._cluster, self._transaction = cluster, transaction
        self._queue: list[Queued] = []
        self._command = self._add

    def _add(
        self,
        words: Words,
        convert: Convert | None = None,
        repeat: bool = False,
        timeout: float | None = None,
        raw: bool = False,
    ) -> Any:
        if raw:
            raise Misused(f"{words[0]} gives octets that are no text: ask it outside a pipeline")
        self._queue.append((words, convert, repeat))
        return self

    def _blocking(self, words: Words, convert: Convert | None, seconds: float) -> Awaitable[Any]:
        found: Awaitable[Any] = self._add(words, convert)
        return found

    def _run(self, script: Script, words: Sequence[Any]) -> Awaitable[Any]:
        """In full: no node has to know it."""
        return self.eval(script.script, *words)

    def execute_command(self, *args: Any, **_: Any) -> Any:
        """A command by its words; the first may be several, `CONFIG GET`."""
        first: Any = args[0]
        return self._add((*(first.split(" ") if isinstance(first, str) else [first]), *args[1:]))

    def __len__(self) -> int:
        return len(self._queue)

    def __bool__(self) -> bool:
        """Though nothing is in it yet."""
        return True

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Sends what was collected, and empties the pipeline.

        Returns:
            What became of each command, in order; with `raise_on_error` off, errors among them.

        Raises:
            Misused: a transaction of several slots.
            ReplyError: the first command that failed; the others were done.
        """
        queue, self._queue = self._queue, []
        if not queue:
            return []
        await self._cluster.initialize()
        if self._transaction:
            results: list[Any] = await self._atomic(queue)
        else:
            results = await self._scattered(queue)
        if raise_on_error:
            first_error(queue, results)
        return results

    async def _scattered(self, queue: Sequence[Queued]) -> list[Any]:
        results: list[Any] = [None] * len(queue)
        parts = self._parts(queue)
        replies = [
            node.link.pipeline(
                [queue[at][0] for at in places],
                partial(converted, [queue[at] for at in places]),
                all(queue[at][2] for at in places),
            )
            for node, places in parts
        ]
        found = await asyncio.gather(*replies, return_exceptions=True)
        for (_, places), values in zip(parts, found, strict=True):
            if isinstance(values, BaseException):
                values = [values] * len(places)
            for at, value in zip(places, values, strict=True):
                results[at] = value
        astray: dict[int | None, list[int]] = {}
        for at, value in enumerate(results):
            if _is_elsewhere(value, queue[at][2]):
                astray.setdefault(_slot_of(queue[at][0]), []).append(at)
        # Those of one slot wait for their turn; all together are given up when one would be.
        until = self._cluster._end()
        await asyncio.gather(
            *(self._again(queue, places, results, until) for places in astray.values())
        )
        return results

    async def _again(
        self, queue: Sequence[Queued], places: Sequence[int], results: list[Any], until: float
    ) -> None:
        loop = asyncio.get_running_loop()
        for at in places:
            if loop.time() > until:
                return
            try:
                results[at] = await self._cluster._asked((*queue[at], None, False), until)
            except Exception as error:
                results[at] = error

    def _parts(self, queue: Sequence[Queued]) -> list[tuple[Node, list[int]]]:
        """Nodes, and which commands are theirs."""
        parts: dict[int, tuple[Node, list[int]]] = {}
        for at, (words, _, _) in enumerate(queue):
            node = self._master(_slot_of(words))
            parts.setdefault(id(node), (node, []))[1].append(at)
        return list(parts.values())

    def _master(self, number: int | None) -> Node:
        node = self._cluster._node(number, False)
        if node is None:
            raise ConnectError(f"redis cluster: nobody has slot {number}")
        return node

    async def _atomic(self, queue: Sequence[Queued]) -> list[Any]:
        keys = [key for key in (key_of(words) for words, _, _ in queue) if key is not None]
        slots = {slot(key) for key in keys}
        if len(slots) > 1:
            raise Misused("a transaction has keys of one slot: give them one {tag}")
        commands = [("MULTI",), *(words for words, _, _ in queue), ("EXEC",)]
        until = self._cluster._end()
        for left in reversed(range(TRIES)):
            node = self._master(next(iter(slots), None))
            convert = partial(of_transaction, queue)
            try:
                found: list[Any] = await node.link.pipeline(commands, convert)
                break
            except (ReplyError, ConnectError) as error:
                # Not sent, or refused when it was queued, so that EXEC did nothing.
                if not (left and keys and _is_elsewhere(error, False)):
                    raise
            # It finds where the slot is by now, however long a fail-over takes.
            await self._cluster._asked((("EXISTS", keys[0]), None, True, None, False), until)
        return found

    def __await__(self) -> Generator[Any, None, Self]:
        """For code that awaits the commands that it collects: gives the pipeline."""
        return self
        yield

    async def reset(self) -> None:
        """Forgets commands."""
        self._queue = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.reset()


def _slot_of(words: Words) -> int | None:
    key = key_of(words)
    return None if key is None else slot(key)


def _is_elsewhere(value: Any, repeat: bool) -> bool:
    """Whether nothing was done of it, and somebody else may."""
    if isinstance(value, ReplyError):
        return value.kind in _ELSEWHERE
    return isinstance(value, ConnectError) or (repeat and isinstance(value, ReadError))
