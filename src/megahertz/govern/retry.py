"""Trying again: rarely, later each time, never beyond the deadline.

Theory: what fails once by accident succeeds the second time; what fails because it is overloaded
gets worse with every try. So extra tries are bounded in all (`RetryBudget`), they come after a
random part of a wait that doubles ("full jitter", Brooker 2015: callers that failed together do
not come back together), and a server that says when is obeyed.

Rules: an error after which the call may have been done is tried again only where the caller says
that doing it twice is doing it once (`idempotent=True`; RFC 9110 section 9.2.2). A try that could
not begin before the deadline is not waited for: the error is told at once.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

from megahertz.context import deadline
from megahertz.errors import BadSettings, ConnectError, MegahertzError, Refused
from megahertz.govern.budget import RetryBudget
from megahertz.govern.fallback import TROUBLE, is_trouble
from megahertz.govern.guard import Guard

P = ParamSpec("P")
R = TypeVar("R")

UNDONE: Final = (Refused, ConnectError, ConnectionRefusedError)
"""After these nothing was done: to try again is safe whatever the call does."""


@dataclass(frozen=True, slots=True)
class RetryStatistics:
    """Calls, extra tries, and errors that were told because the budget was used up."""

    calls: int
    tries: int
    refused: int


class Retry(Guard):
    """Tries a call up to `attempts` times.

        fetch = Retry(attempts=3, idempotent=True)
        answer = await fetch.run(client.get, "/items/7")

        async for attempt in fetch:         # as a block
            async with attempt:
                answer = await client.get("/items/7")

    Args:
        attempts: tries in all (AWS SDKs: 3).
        idempotent: whether a call may be done twice. Without it only errors are tried again after
            which nothing was done (`UNDONE`), with it whatever looks like a dependency's trouble.
        on: which errors instead of these: classes, or a function of the error.
        first: seconds before the second try, at most; a random part of it is waited (Envoy: 25 ms).
        longest: what that doubles up to (Envoy: 250 ms).
        patience: seconds of a Retry-After that are waited; who asks for more gets no other try.
        budget: extra tries of all calls together; one of its own, 10 % of them, where left out.
        fallback: what is answered instead of the last error.
        random: numbers from 0 to 1; for tests.

    Raises:
        BadSettings: a number that cannot be.
    """

    def __init__(
        self,
        attempts: int = 3,
        *,
        idempotent: bool = False,
        on: tuple[type[Exception], ...] | Callable[[Exception], bool] | None = None,
        first: float = 0.025,
        longest: float = 0.25,
        patience: float = 10.0,
        budget: RetryBudget | None = None,
        fallback: Any = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        if not (attempts >= 1 and 0 <= first <= longest and patience >= 0):
            raise BadSettings(
                f"Retry({attempts}, {first=}, {longest=}, {patience=}): attempts >= 1, "
                f"0 <= first <= longest, patience >= 0"
            )
        super().__init__(fallback)
        self._attempts, self._first, self._longest = attempts, first, longest
        self._patience, self._random = patience, random
        self._told, self._idempotent = on, idempotent
        self._budget = RetryBudget() if budget is None else budget
        self._calls = self._tries = self._refused = 0

    async def _run(
        self, call: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        async for attempt in self:
            async with attempt:
                return await call(*args, **kwargs)
        raise AssertionError("the last attempt returns or raises")

    def __aiter__(self) -> "Tries":
        """One call's tries, until one succeeds or the error is told."""
        return self.tries(self._idempotent)

    def tries(self, idempotent: bool) -> "Tries":
        """As `async for attempt in retry`, of a call of which it is known whether it may be done
        twice; `on=` goes before that."""
        self._calls += 1
        self._budget.count()
        return Tries(self, idempotent)

    def wait_after(
        self, error: BaseException | None, number: int, *, idempotent: bool | None = None
    ) -> float | None:
        """Seconds until the next try; None where there is none. Takes from the budget."""
        if number >= self._attempts or not isinstance(error, Exception):
            return None
        if not self._covers(error, self._idempotent if idempotent is None else idempotent):
            return None
        wait = self._random() * min(self._longest, self._first * 2.0 ** (number - 1))
        asked = error.retry_after if isinstance(error, MegahertzError) else None
        if asked is not None:
            wait += asked
        left = deadline()
        if (asked or 0.0) > self._patience or (left is not None and wait >= left):
            return None
        if not self._budget.try_acquire():
            self._refused += 1
            return None
        self._tries += 1
        return wait

    def _covers(self, error: Exception, idempotent: bool) -> bool:
        on = self._told
        if on is None:
            return is_trouble(error, TROUBLE if idempotent else UNDONE)
        return isinstance(error, on) if isinstance(on, tuple) else on(error)

    def statistics(self) -> RetryStatistics:
        """A snapshot."""
        return RetryStatistics(self._calls, self._tries, self._refused)


class Tries:
    """The tries of one call; not an async generator, which a `return` inside would leave behind
    for the loop to close in a task of its own."""

    __slots__ = ("_attempt", "_idempotent", "_retry")

    def __init__(self, retry: Retry, idempotent: bool) -> None:
        self._retry, self._idempotent = retry, idempotent
        self._attempt: Attempt | None = None

    def __aiter__(self) -> "Tries":
        return self

    async def __anext__(self) -> "Attempt":
        last = self._attempt
        if last is not None:
            if last.wait is None:
                raise StopAsyncIteration
            await asyncio.sleep(last.wait)
        number = 1 if last is None else last.number + 1
        self._attempt = Attempt(self._retry, number, self._idempotent)
        return self._attempt


class Attempt:
    """One try: `async with attempt:` swallows an error that another try follows.

    Attributes:
        number: from 1.
        wait: seconds until the next try, once this one has failed and there is one.
    """

    __slots__ = ("_idempotent", "_retry", "number", "wait")

    def __init__(self, retry: Retry, number: int, idempotent: bool) -> None:
        self._retry, self._idempotent = retry, idempotent
        self.number = number
        self.wait: float | None = None

    async def __aenter__(self) -> "Attempt":
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self.wait = self._retry.wait_after(error, self.number, idempotent=self._idempotent)
        return self.wait is not None
