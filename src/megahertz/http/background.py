"""Work that a handler leaves for after its answer, by Starlette's names.

It runs in the request's own task, in order, once the answer is sent: after a stream to its end,
before what dependencies and layers end. It counts as a running request: a server that stops waits
for it, up to its grace, and then cancels it.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec

from megahertz.context import lift_deadline
from megahertz.errors import Overloaded
from megahertz.http.threads import Threads, bound
from megahertz.observe import tells

P = ParamSpec("P")

WAITING = 1_000
"""Tasks of all requests that are not done, above which a request with more of them is refused
(as many calls as wait for a thread: `megahertz.http.threads.WAITING`)."""


@dataclass(frozen=True, slots=True)
class BackgroundStatistics:
    """Tasks that are not done now; done, failed (they are done too) and refused since the start."""

    waiting: int
    done: int
    failed: int
    refused: int


class BackgroundTasks:
    """A parameter of a handler or a dependency: `tasks.add_task(send_mail, to, subject="...")`.

    A task that raises is logged, and the next one runs. A `def` runs in a thread.
    """

    __slots__ = ("_admitted", "_tasks")

    def __init__(self) -> None:
        self._admitted = 0
        self._tasks: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []

    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Has `func(*args, **kwargs)` called after the answer; a coroutine it gives is awaited."""
        self._tasks.append((func, args, kwargs))

    def __len__(self) -> int:
        return len(self._tasks)


class Background:
    """Counts and bounds the tasks of an application.

    Args:
        threads: for `def` functions.
        failed: is told of every error.
        waiting: tasks that may wait or run at once.
    """

    __slots__ = (
        "__weakref__",
        "_done",
        "_failed",
        "_failures",
        "_most",
        "_refused",
        "_threads",
        "_waiting",
    )

    def __init__(
        self, threads: Threads, failed: Callable[[BaseException, str], None], waiting: int = WAITING
    ) -> None:
        self._threads = threads
        self._failed = failed
        self._most = waiting
        self._waiting = self._done = self._failures = self._refused = 0
        tells(self)

    def admit(self, tasks: BackgroundTasks) -> None:
        """Makes room for them, before the answer is sent.

        Raises:
            Overloaded: too many wait already.
        """
        if self._waiting + len(tasks) > self._most:
            self._refused += len(tasks)
            raise Overloaded("too much work waits in the background", retry_after=1.0)
        self._waiting += len(tasks)
        tasks._admitted = len(tasks)

    async def run(self, tasks: BackgroundTasks) -> None:
        """Runs what was admitted, also what was added since."""
        self._waiting += len(tasks) - tasks._admitted
        tasks._admitted = len(tasks)
        lift_deadline()  # it was the answer's
        for func, args, kwargs in tasks._tasks:
            await self._one(func, args, kwargs)
            tasks._admitted -= 1
            self._waiting -= 1
            self._done += 1

    def release(self, tasks: BackgroundTasks) -> None:
        """Gives back the room of those that will not run."""
        self._waiting -= tasks._admitted
        tasks._admitted = 0

    async def _one(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        try:
            if inspect.iscoroutinefunction(func):
                await func(*args, **kwargs)
            else:
                result = await self._threads.finish(bound(func)(*args, **kwargs))
                if inspect.isawaitable(result):
                    await result
        except Exception as error:
            self._failures += 1
            self._failed(error, f"background task {getattr(func, '__qualname__', func)}")

    def figures(self) -> Iterable[tuple[str, float]]:
        """For `/metrics`."""
        yield "background_waiting", self._waiting
        yield "background_failures_total", self._failures

    def statistics(self) -> BackgroundStatistics:
        """A snapshot."""
        return BackgroundStatistics(self._waiting, self._done, self._failures, self._refused)
