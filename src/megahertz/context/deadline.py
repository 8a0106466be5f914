"""The moment by which a call has to be done, known to everything that it calls.

Theory: a context variable holds the end as a moment of the monotonic clock, infinity without one.
Tasks inherit it with their context, so what is left is right in a `TaskGroup`'s children and in
a coroutine five calls down, and an outgoing call can hand it on (`budget.py`). The engine sets it
for requests; `with deadline(0.1):` narrows it, and an inner one never widens an outer one.

Rules: cancellation is asyncio's own protocol, as in `asyncio.timeout` (cancel at the end, uncancel
on the way out; PEP 654's authors' design for 3.11): a cancellation from elsewhere that comes at
the same time stays one, and is never turned into `DeadlineExceeded`. A timer of its own is set
even where an outer deadline ends first: the outer one's may belong to another task.

Rejected: durations handed from call to call (every call in between spends some of it unseen).
"""

import asyncio
import time
from contextvars import ContextVar
from math import inf
from types import TracebackType
from typing import Any, Final, Self, overload

from megahertz.errors import BadSettings, DeadlineExceeded, Misused

DEADLINE: Final[ContextVar[float]] = ContextVar("megahertz.deadline", default=inf)
"""The end of the call, in seconds of `time.monotonic()`."""

EXPIRED: Final = "deadline exceeded"
"""The message that a task is cancelled with when its time is up; the engine says the same."""

_LONGEST = 365 * 86_400.0
"""Seconds ahead that a timer can be set: far more overflows in uvloop (milliseconds as an int)."""


class Deadline:
    """Narrows the deadline of everything inside; `deadline()` makes it.

    Attributes:
        expired: whether the time ran out inside.
    """

    __slots__ = ("_before", "_cancelling", "_seconds", "_task", "_timer", "expired")

    def __init__(self, seconds: float) -> None:
        if not seconds >= 0:
            raise BadSettings(f"deadline({seconds!r}): at least 0 seconds")
        self._seconds = seconds
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None or self._timer is not None:
            raise Misused("`with deadline(...)` is for one use, inside a coroutine")
        now, self._before = time.monotonic(), DEADLINE.get()
        end = min(now + self._seconds, self._before)
        self._task, self._cancelling = task, task.cancelling()
        self._timer = task.get_loop().call_later(max(0.0, min(end - now, _LONGEST)), self._expire)
        DEADLINE.set(end)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None
        assert self._timer is not None
        self._timer.cancel()
        # Not by a token: a generator may be closed in another context than it was begun in.
        DEADLINE.set(self._before)
        task, self._task = self._task, None
        if not self.expired or task.uncancel() > self._cancelling:
            return
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            raise DeadlineExceeded(f"not done within {self._seconds:g} s") from error

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *exc: Any) -> None:
        self.__exit__(*exc)

    def _expire(self) -> None:
        if self._task is not None:
            self.expired = True
            self._task.cancel(EXPIRED)

    def __repr__(self) -> str:
        return f"deadline({self._seconds:g})"


@overload
def deadline() -> float | None: ...
@overload
def deadline(seconds: float) -> Deadline: ...
def deadline(seconds: float | None = None) -> float | Deadline | None:
    """The seconds that are left, or a block that has at most `seconds`.

        left = deadline()               # None where there is no deadline, 0.0 where it has passed
        with deadline(0.1):             # or `async with`
            price = await ask()         # cancelled after 0.1 s, or when the caller's time is up

    Raises:
        DeadlineExceeded: at the end of the block, when the time was up before it.
    """
    if seconds is not None:
        return Deadline(seconds)
    end = DEADLINE.get()
    return None if end == inf else max(0.0, end - time.monotonic())


def lift_deadline() -> None:
    """From here on the current task, and what it starts, has no deadline.

    For work that outlives its caller: a task that a handler leaves behind inherits a deadline that
    is soon over, and no `with deadline(...)` in it could be longer. Blocks that are open still end
    in time. What runs after an answer (background tasks, ends of dependencies, tasks of a
    connection, a WebSocket that is open) begins with this.
    """
    DEADLINE.set(inf)
