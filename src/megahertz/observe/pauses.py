"""How long the garbage collector stops the process, by its own callbacks."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseStatistics:
    """Since it began.

    Attributes:
        collections: by generation, 0 to 2.
        seconds: of all of them.
        longest: seconds of one.
        share: of the time between the last two `mark`s.
    """

    collections: tuple[int, int, int]
    seconds: float
    longest: float
    share: float


class Pauses:
    """Counts while it is open.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._counts = [0, 0, 0]
        self._seconds = self._longest = self._share = 0.0
        self._began: float | None = None
        self._marked = (clock(), 0.0)

    def open(self) -> None:
        """Listens to the collector."""
        self._marked = (self._clock(), self._seconds)
        gc.callbacks.append(self._told)

    def close(self) -> None:
        """Listens no more."""
        gc.callbacks.remove(self._told)

    def _told(self, phase: str, info: Mapping[str, Any]) -> None:
        if phase == "start":
            self._began = self._clock()
        elif self._began is not None:
            spent, self._began = self._clock() - self._began, None
            self._counts[info["generation"]] += 1
            self._seconds += spent
            self._longest = max(self._longest, spent)

    def mark(self) -> float:
        """The collector's share of the time since the last mark."""
        now, (then, spent) = self._clock(), self._marked
        self._share = (self._seconds - spent) / (now - then) if now > then else 0.0
        self._marked = (now, self._seconds)
        return self._share

    def statistics(self) -> PauseStatistics:
        """At this moment."""
        young, middle, old = self._counts
        return PauseStatistics(
            collections=(young, middle, old),
            seconds=self._seconds,
            longest=self._longest,
            share=self._share,
        )
