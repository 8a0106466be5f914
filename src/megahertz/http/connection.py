"""What lives as long as a client's connection, over all of its requests: `request.connection`.

It is made when it is first asked for; a connection that nobody asks about costs nothing.
"""

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

from megahertz.context import lift_deadline
from megahertz.errors import Overloaded
from megahertz.http.state import State

T = TypeVar("T")

_ending: set[asyncio.Task[Any]] = set()
"""Those of connections that have closed."""

CLEAN_UP = 1.0
"""Seconds that a server which stops gives them (as it gives to handlers that it cancels)."""

CLOSED = "connection closed"

log = logging.getLogger("megahertz")

TASKS = 100
"""Tasks of a connection at once, and callbacks (as streams at once: RFC 9113 section 6.5.2)."""

_running: set[asyncio.Task[Any]] = set()
"""asyncio itself only keeps weak references to tasks."""


class Connection:
    """One connection, which requests and streams share.

    Attributes:
        state: attributes of your own.
        closed: the connection has closed.
    """

    __slots__ = ("__weakref__", "_callbacks", "_tasks", "closed", "state")

    def __init__(self) -> None:
        self.state = State()
        self.closed = False
        self._callbacks: list[Callable[[], Any]] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def create_task(
        self, coroutine: Coroutine[Any, Any, T], *, name: str | None = None
    ) -> asyncio.Task[T]:
        """Runs beside the requests, and is cancelled ("connection closed") with the connection.

        An error is logged.

        Raises:
            Overloaded: 100 run already.
        """
        if len(self._tasks) >= TASKS:
            coroutine.close()
            raise Overloaded(f"a connection has at most {TASKS} tasks")
        context = copy_context()
        context.run(lift_deadline)  # it outlives the request
        task = asyncio.get_running_loop().create_task(coroutine, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        _keep(task)
        if self.closed:
            task.cancel(CLOSED)
        return task

    def on_close(self, callback: Callable[[], Any]) -> None:
        """Has `callback()` called once the connection has closed, at once where it has.

        The last one declared is called first, once the tasks are told to end. What it gives is
        awaited; an error is logged.

        Raises:
            Overloaded: 100 wait already.
        """
        if len(self._callbacks) >= TASKS:
            raise Overloaded(f"a connection has at most {TASKS} callbacks")
        self._callbacks.append(callback)
        if self.closed:
            self._call_back()

    def end(self) -> None:
        """The connection has closed; called by the engine."""
        self.closed = True
        _ending.update(self._tasks)
        for task in list(self._tasks):
            task.cancel(CLOSED)
        self._call_back()

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks[::-1], []
        if callbacks:
            task = asyncio.get_running_loop().create_task(_call(callbacks))
            _ending.add(task)
            _keep(task)


def _keep(task: asyncio.Task[Any]) -> None:
    _running.add(task)
    task.add_done_callback(_done)


def _done(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    _ending.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a task of a connection failed: %s", error, exc_info=error)


async def _call(callbacks: list[Callable[[], Any]]) -> None:
    for callback in callbacks:
        try:
            result = callback()
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            log.error("a callback of a connection failed: %s", error, exc_info=error)


async def settled() -> None:
    """Waits until what closed connections of this loop have left behind has ended, or a second."""
    loop = asyncio.get_running_loop()
    left = [task for task in _ending if task.get_loop() is loop]
    if left:
        await asyncio.wait(left, timeout=CLEAN_UP)
