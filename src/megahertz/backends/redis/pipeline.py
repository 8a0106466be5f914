"""Commands that leave together, as a transaction or not, and WATCH.

A transaction without WATCH is one piece of the shared connection: nothing of others can come
between its commands, since they are written at once. WATCH has to see what happens between two
turns, and so has a connection of its own from there on.
"""

import inspect
from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import partial
from typing import Any, Self

from megahertz.backends.redis.commands import Commands, Convert, Script, Words
from megahertz.backends.redis.connection import Connection
from megahertz.backends.redis.own import Own
from megahertz.engine import Link
from megahertz.errors import CompareFailed, Misused, ReplyError

Queued = tuple[Words, Convert | None, bool]
"""Words, what becomes of the reply, whether it may be asked twice."""


class Pipeline(Commands):
    """Collects commands; `execute` sends them, and gives the list of what became of each.

    Every command gives the pipeline back, so they may be chained. Between `watch` and `multi`
    commands are sent at once, and to be awaited.

        async with redis.pipeline() as pipe:
            one, two = await pipe.set("a", 1).incr("b").execute()
    """

    def __init__(self, link: Link, own: Own, *, transaction: bool = True) -> None:
        self._link, self._own, self._transaction = link, own, transaction
        self._queue: list[Queued] = []
        self._watching: Connection | None = None
        self._scripts: dict[str, Script] = {}
        self._begun = False
        self._command = self._add

    def _add(
        self,
        words: Words,
        convert: Convert | None = None,
        repeat: bool = False,
        timeout: float | None = None,
        raw: bool = False,
    ) -> Any:
        if self._watching is not None and not self._begun:
            return self._watching.link.command(words, convert, False, timeout, raw)
        if raw:
            raise Misused(f"{words[0]} gives octets that are no text: ask it outside a pipeline")
        self._queue.append((words, convert, repeat))
        return self

    def _blocking(self, words: Words, convert: Convert | None, seconds: float) -> Awaitable[Any]:
        found: Awaitable[Any] = self._add(words, convert)
        return found

    @property
    def watching(self) -> bool:
        """Whether keys are watched."""
        return self._watching is not None

    def __len__(self) -> int:
        return len(self._queue)

    def __bool__(self) -> bool:
        """Though nothing is in it yet."""
        return True

    def execute_command(self, *args: Any, **_: Any) -> Any:
        """A command by its words; the first may be several, `CONFIG GET`."""
        first: Any = args[0]
        return self._add((*(first.split(" ") if isinstance(first, str) else [first]), *args[1:]))

    def _run(self, script: Script, words: Sequence[Any]) -> Awaitable[Any]:
        """Within the pipeline it is too late to hear that the server does not know it."""
        self._scripts[script.sha] = script
        return self.evalsha(script.sha, *words)

    async def _load(self) -> None:
        scripts, self._scripts = self._scripts, {}
        if scripts:
            link = self._link if self._watching is None else self._watching.link
            known = await link.command(("SCRIPT", "EXISTS", *scripts), None, True)
            for there, script in zip(known, scripts.values(), strict=True):
                if not there:
                    await link.command(("SCRIPT", "LOAD", script.script))

    async def watch(self, *names: Any) -> bool:
        """What follows `multi` is done only if nobody changes these keys until then.

        Raises:
            Misused: commands wait already.
        """
        if self._begun or self._queue:
            raise Misused("watch() comes before the commands of the transaction")
        if self._watching is None:
            self._watching = self._own.take()
        await self._watching.link.command(("WATCH", *names))
        return True

    async def unwatch(self) -> bool:
        """Whatever happens to the watched keys, `execute` goes on."""
        if self._watching is not None and not self._begun:
            await self._watching.link.command(("UNWATCH",))
            self._release(clean=True)
        return True

    def multi(self) -> None:
        """From here on commands wait for `execute`.

        Raises:
            Misused: they do already.
        """
        if self._begun or self._queue:
            raise Misused("multi() comes once, before the commands of the transaction")
        self._begun = True

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Sends what was collected, and empties the pipeline.

        Returns:
            What became of each command, in order; with `raise_on_error` off, errors among them.

        Raises:
            CompareFailed: a watched key has changed: nothing was done.
            ReplyError: the first command that failed; the others were done.
        """
        queue, self._queue = self._queue, []
        if not queue and self._watching is None:
            await self.reset()
            return []
        try:
            await self._load()
            results: list[Any] = await self._send(queue)
        finally:
            await self.reset()
        if raise_on_error:
            first_error(queue, results)
        return results

    def _send(self, queue: Sequence[Queued]) -> Awaitable[list[Any]]:
        link = self._link if self._watching is None else self._watching.link
        commands = [words for words, _, _ in queue]
        if self._transaction or self._watching is not None:
            commands = [("MULTI",), *commands, ("EXEC",)]
            return link.pipeline(commands, partial(of_transaction, queue))
        return link.pipeline(commands, partial(converted, queue), all(each[2] for each in queue))

    async def reset(self) -> None:
        """Forgets commands and watches."""
        self._queue, self._scripts = [], {}
        if self._watching is not None:
            clean = False
            try:
                await self._watching.link.command(("UNWATCH",))
                clean = True
            finally:
                self._release(clean=clean)
        self._begun = False

    def _release(self, *, clean: bool) -> None:
        if self._watching is not None:
            self._own.give(self._watching, clean=clean)
            self._watching = None

    async def attempt(
        self, func: Callable[[Self], Any], watches: Sequence[Any], *, value_from_callable: bool
    ) -> Any:
        """As `Redis.transaction`."""
        while True:
            try:
                if watches:
                    await self.watch(*watches)
                value = func(self)
                if inspect.isawaitable(value):
                    value = await value
                done = await self.execute()
                return value if value_from_callable else done
            except CompareFailed:
                continue

    def __await__(self) -> Generator[Any, None, Self]:
        """For code that awaits the commands that it collects: gives the pipeline."""
        return self
        yield

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.reset()

    async def aclose(self) -> None:
        """The same as leaving it."""
        await self.reset()


def converted(queue: Sequence[Queued], replies: Sequence[Any]) -> list[Any]:
    """Each reply as its command would give it; errors stay."""
    return [_one(convert, reply) for (_, convert, _), reply in zip(queue, replies, strict=True)]


def _one(convert: Convert | None, reply: Any) -> Any:
    if convert is None or isinstance(reply, Exception):
        return reply
    return convert(reply)


def of_transaction(queue: Sequence[Queued], replies: Sequence[Any]) -> list[Any]:
    """What EXEC gave.

    Raises:
        CompareFailed: nothing was done, since a watched key had changed.
        ReplyError: nothing was done, since a command was none.
    """
    done = replies[-1]
    if done is None:
        raise CompareFailed("a watched key has changed")
    if isinstance(done, Exception):
        first_error(queue, replies[1:-1])
        raise done
    return converted(queue, done)


def first_error(queue: Sequence[Queued], results: Sequence[Any]) -> None:
    """Raises the first error of a pipeline, and says which command it was of.

    Raises:
        ReplyError: it.
    """
    for number, ((words, _, _), result) in enumerate(zip(queue, results, strict=True), 1):
        if isinstance(result, ReplyError):
            named = " ".join(_shown(word) for word in words)[:100]
            text = f"{result} (command {number} of the pipeline: {named})"
            raise ReplyError(text) from result
        if isinstance(result, Exception):
            raise result


def _shown(word: Any) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)
