"""A dependency that fails too often is left alone, and asked again by single probes.

Theory: the state machine and its numbers lie in the engine (`rust/plane/src/breaker.rs`), for all
workers of a machine: closed, open for `open` seconds, then one probe, which closes or opens again.
What goes wrong with breakers elsewhere is told by their issues, and is a rule here:

- A refusal of its own is not a failure: where it counts as one, the breaker keeps itself open long
  after the dependency is well (go-zero #4101 and its PR #5551, Kratos #2777).
- A refusal by something inside (another breaker, a limit) tells nothing of the dependency: a probe
  that met one is abandoned, and the next call is the probe.
- A probe that never comes back, or whose caller went away, does not keep the place.
- An answer in time is a success, even one that nobody likes (404).
- A call that began before the state changed says nothing of what is now.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from megahertz.clock import Clock
from megahertz.context import EXPIRED, cancel_reason
from megahertz.engine import BreakerCell as Cell
from megahertz.engine import Plane
from megahertz.errors import (
    BadSettings,
    BreakerOpen,
    Conflict,
    HTTPError,
    Misused,
    Refused,
    StatusError,
)
from megahertz.govern import planes
from megahertz.govern.fallback import Fallback
from megahertz.govern.guard import Block

_REFUSED: Final = 2

_MOST: Final = 86_400.0 * 365
"""Seconds; NaN and infinity are not below."""


@dataclass(frozen=True, slots=True)
class BreakerStatistics:
    """How a breaker stands; of the machine where that is the scope.

    Attributes:
        state: "closed", "open", or "probing" once the next call may go.
        retry_after: seconds until then.
        share: of the calls that are refused.
        calls: in the window, refusals left out.
        failures: of them.
        opened: times, since the start.
        refused: calls, since the start.
    """

    state: Literal["closed", "open", "probing"]
    retry_after: float
    share: float
    calls: int
    failures: int
    opened: int
    refused: int


class Breaker(Block):
    """Opens when `failures` of at least `calls` calls failed; for a route, and around any call.

    Args:
        failures: up to 1.0 the share of the calls in the window (Hystrix: 0.5), above a number.
        calls: below which a share says nothing (Hystrix: 20; the reports: 100).
        open: seconds without calls, then one probe (Hystrix: 5; the reports: 2).
        window: seconds that are looked at (Hystrix: 10).
        on: which errors are failures: classes, or a function of the error; without it all but
            answers (`HTTPError`, `StatusError` below 500, `Conflict`) and bugs of the caller's
            (`Misused`).
        scope: "worker" counts in this process, "machine" in all of its workers together.
        name: what makes it the same breaker in other processes; its numbers where left out.
        fallback: what is answered instead: a value, a function of the arguments (of a route: of
            the request), or `Stale`.
        clock: where time comes from, for tests.

    Raises:
        BadSettings: a number that cannot be.
    """

    def __init__(
        self,
        failures: float = 0.6,
        calls: int = 100,
        open: float = 2.0,
        *,
        window: float = 10.0,
        on: tuple[type[Exception], ...] | Callable[[Exception], bool] | None = None,
        scope: Literal["worker", "machine"] = "machine",
        name: str | None = None,
        fallback: Any = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(fallback)
        kind = type(self).__name__
        if not (0 < failures <= 1 or (1 < failures < 1 << 20 and failures == int(failures))):
            raise BadSettings(f"{kind}({failures=}): a share up to 1.0, or a whole number")
        if not (1 <= calls < 1 << 20 and 0 < open < _MOST and 0 < window < _MOST):
            raise BadSettings(
                f"{kind}({calls=}, {open=}, {window=}): 1 <= calls < 1,048,576, open and window > 0"
            )
        if scope not in ("worker", "machine"):
            raise BadSettings(f'{kind}({scope=}): "worker" or "machine"')
        self.failures, self.calls, self.open, self.window = failures, calls, open, window
        self.scope = scope
        self._on, self._clock = on, clock
        self._own: Cell | None = None
        self.name = planes.name(f"{self!r} {scope}") if name is None else name

    @property
    def fallback(self) -> Fallback | None:
        """What is answered instead."""
        return self._fallback

    def cell(self, plane: Plane, name: str) -> Cell:
        """A state of its own in `plane`, or the one that is there by that name: a route has one
        under the route's name."""
        return Cell(
            plane, name, **self._rule(), calls=self.calls, open=self.open, window=self.window
        )

    def _rule(self) -> dict[str, float]:
        return {"failures": self.failures}

    def sibling(self) -> Self:
        """Another one with the same rules, which counts by itself, in this process, and leaves
        nothing behind."""
        found = copy(self)
        plane, number = planes.passing()
        found.name, found.scope, found._inside = f"{self.name} {number}", "worker", {}
        found._own = found.cell(plane, found.name)
        return found

    def join(self, plane: Plane) -> None:
        """As a guard, counts in `plane` from now on, with every breaker of that name there.

        For the server, at its start; the scope "worker" stays in memory of the process.
        """
        self._own = self.cell(planes.private() if self.scope == "worker" else plane, self.name)

    def _cell(self) -> Cell:
        if self._own is None:
            self.join(planes.found(self._clock))
            assert self._own is not None
        return self._own

    @asynccontextmanager
    async def _block(self) -> AsyncIterator[None]:
        cell, began = self._cell(), self._now()
        how = cell.enter(began)
        if how == _REFUSED:
            raise BreakerOpen("it failed too often", retry_after=cell.state(began)[0] or self.open)
        try:
            yield
        except Refused:
            cell.abandon(how, now=self._now())
            raise
        except Exception as error:
            cell.leave(how, not self._is_failure(error), began=began, now=self._now())
            raise
        except asyncio.CancelledError:
            if cancel_reason() == EXPIRED:  # too slow is a failure, to leave is not
                cell.leave(how, False, began=began, now=self._now())
            else:
                cell.abandon(how, now=self._now())
            raise
        except BaseException:
            cell.abandon(how, now=self._now())
            raise
        cell.leave(how, True, began=began, now=self._now())

    def _is_failure(self, error: Exception) -> bool:
        on = self._on
        if on is None:
            if isinstance(error, HTTPError | StatusError):
                return error.status_code >= 500
            return not isinstance(error, (Conflict, Misused))
        return isinstance(error, on) if isinstance(on, tuple) else on(error)

    def _now(self) -> int:
        return time.monotonic_ns() if self._clock is None else int(self._clock.now() * 1e9)

    def statistics(self) -> BreakerStatistics:
        """A snapshot."""
        left, share, calls, failures, opened, refused = self._cell().state(self._now())
        state: Literal["closed", "open", "probing"] = "closed"
        if left or share:
            state = "open" if share else "probing"
        return BreakerStatistics(state, left, share, calls, failures, opened, refused)

    def __repr__(self) -> str:
        first = f"{type(self).__name__}({self._first():g}"
        return f"{first}, {self.calls}, {self.open:g}, window={self.window:g})"

    def _first(self) -> float:
        return self.failures


class AdaptiveBreaker(Breaker):
    """Refuses the share of the calls by which they exceed `k` times what succeeds.

    (calls - k * successes) / (calls + 1), of the calls that were let through in the window (Beyer
    et al., Site Reliability Engineering, 2016, chapter 21, equation 21.1); and one is let through
    each `open` seconds, whatever the share. With k = 2 nothing is refused while half succeeds.

    Args:
        k: how many calls a success stands for (the book: 2; go-zero: 1.5).
        calls: below which the share is 0 (go-zero: 5; Kratos: 100).
        open: seconds after which a call is let through (go-zero: 1).
        window: seconds that are looked at, and so about the longest that it refuses after the
            dependency is well (go-zero: 10).
        others: as `Breaker`.

    Raises:
        BadSettings: a number that cannot be.
    """

    def __init__(
        self,
        k: float = 2.0,
        calls: int = 10,
        open: float = 1.0,
        *,
        window: float = 4.0,
        on: tuple[type[Exception], ...] | Callable[[Exception], bool] | None = None,
        scope: Literal["worker", "machine"] = "machine",
        name: str | None = None,
        fallback: Any = None,
        clock: Clock | None = None,
    ) -> None:
        if not 1 <= k < _MOST:
            raise BadSettings(f"AdaptiveBreaker({k=}): at least 1")
        self.k = k
        super().__init__(
            1.0,
            calls,
            open,
            window=window,
            on=on,
            scope=scope,
            name=name,
            fallback=fallback,
            clock=clock,
        )

    def _rule(self) -> dict[str, float]:
        return {"k": self.k}

    def _first(self) -> float:
        return self.k
