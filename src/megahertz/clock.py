"""Time, as a thing that can be handed in and replaced.

Everything that waits, expires or measures asks a `Clock`. `Monotonic` is the machine's; a step of
the wall clock changes nothing for it (man 2 clock_gettime, CLOCK_MONOTONIC). Tests hand in
`Manual`, which moves only when told to.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """A source of seconds that never goes back."""

    def now(self) -> float:
        """Seconds since an arbitrary start."""
        ...


class Monotonic:
    """The machine's monotonic clock."""

    __slots__ = ()

    def now(self) -> float:
        """Seconds since boot, roughly."""
        return time.monotonic()


class Manual:
    """A clock for tests: it stands still until `advance` is called."""

    __slots__ = ("_now",)

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """The seconds it was advanced to."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Moves on by `seconds`; going back is refused."""
        if seconds < 0:
            raise ValueError(f"a monotonic clock does not go back (asked for {seconds})")
        self._now += seconds
