"""The pool that runs `def` handlers, so that none of them ever holds up the loop."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from megahertz.errors import Overloaded
from megahertz.observe import series, tells

T = TypeVar("T")

THREADS = 40
"""At once (anyio's and therefore Starlette's default)."""

WAITING = 1_000
"""Calls that wait for a thread before the next is refused (nginx's thread_pool: 65,536, Tomcat's
acceptCount: 100; at 10 ms a call, 40 threads work 1,000 off in 0.25 s)."""


@dataclass(frozen=True, slots=True)
class ThreadStatistics:
    """Calls running or waiting now, and refused since the start."""

    threads: int
    admitted: int
    refused: int


class Threads:
    """A bounded pool of threads with a bounded queue before it.

    Args:
        threads: calls that run at once.
        waiting: calls that may wait; above, `Overloaded`.
    """

    __slots__ = ("__weakref__", "_admitted", "_executor", "_lock", "_most", "_refused", "_threads")

    def __init__(self, threads: int = THREADS, waiting: int = WAITING) -> None:
        self._threads = threads
        self._most = threads + waiting
        self._admitted = 0
        self._refused = 0
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        tells(self)

    async def run(self, call: Callable[[], T]) -> T:
        """The result of `call()`, made in a thread with a copy of the caller's context.

        A caller that is cancelled leaves at once; the thread works on, and its place in the
        pool is free when it ends.
        """
        self._admit()
        return await self._submit(call)

    async def finish(self, call: Callable[[], T]) -> T:
        """As `run`, for clean-up, which has to happen: it is never refused, and a caller that is
        cancelled is so once the call has ended.
        """
        with self._lock:
            self._admitted += 1
        future = self._submit(call)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    async def enter(self, call: Callable[[], T], leave: Callable[[BaseException], object]) -> T:
        """As `run`, for set-up: where a caller is cancelled while it runs, `leave(error)` undoes
        it in a thread, and the caller is cancelled after that.
        """
        self._admit()
        inner = self._start(call)
        future = asyncio.wrap_future(inner)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError as error:
            cause = error
            if not inner.cancel():  # it runs: what it opens has to be closed
                await asyncio.wait([future])
                if future.exception() is None:
                    await self.finish(lambda: leave(cause))
            raise

    def _submit(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.wrap_future(self._start(call))

    def _start(self, call: Callable[[], T]) -> "Future[T]":
        context = contextvars.copy_context()
        try:
            future = self._pool().submit(context.run, _whole, call)
        except BaseException:
            self._leave()
            raise
        # Of a call that is cancelled in the queue no line runs: only the future knows of it.
        future.add_done_callback(self._leave)
        return future

    def close(self) -> None:
        """Takes no more calls; those in a thread work on, those that wait are dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def statistics(self) -> ThreadStatistics:
        """A snapshot."""
        return ThreadStatistics(self._threads, self._admitted, self._refused)

    def figures(self) -> Iterable[tuple[str, float]]:
        """For `/metrics`."""
        yield series("pool_threads", pool="handlers"), self._threads
        yield series("pool_calls", pool="handlers"), self._admitted
        yield series("pool_refused_total", pool="handlers"), self._refused

    def _pool(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, "megahertz")
        return self._executor

    def _admit(self) -> None:
        with self._lock:
            if self._admitted >= self._most:
                self._refused += 1
                raise Overloaded("every thread is busy and the queue is full", retry_after=1.0)
            self._admitted += 1

    def _leave(self, future: object = None) -> None:
        with self._lock:
            self._admitted -= 1


def _whole(call: Callable[[], T]) -> T:
    try:
        return call()
    except StopIteration as error:
        # asyncio refuses to put a StopIteration into a future, and would wait for ever.
        raise RuntimeError("a handler raised StopIteration") from error


def bound(call: Callable[..., Any]) -> Callable[..., Callable[[], Any]]:
    """`bound(f)(1, x=2)` is a call for `Threads.run`."""

    def bind(*args: Any, **kwargs: Any) -> Callable[[], Any]:
        return lambda: call(*args, **kwargs)

    return bind
