"""How long to wait before something that ended is started again."""

import random
from dataclasses import dataclass

FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0
STEADY = 60.0
"""Seconds (systemd's RestartSec begins at 0.1)."""


def pause(attempt: int, first: float, longest: float) -> float:
    """Seconds before an attempt, counted from 1, of one among many who wait for the same.

    Anything up to `first` doubled each time, and up to `longest`: who lost it together does not
    come back together ("full jitter", AWS Architecture Blog, 2015).
    """
    return random.uniform(0.0, min(first * 2 ** min(attempt, 30), longest))


@dataclass(slots=True)
class Backoff:
    """Twice as long each time; what lived for a minute begins anew."""

    delay: float = FIRST_DELAY

    def after(self, lived: float) -> float:
        """Seconds to wait, for one that lived so long."""
        if lived >= STEADY:
            self.delay = FIRST_DELAY
        now, self.delay = self.delay, min(self.delay * 2, LONGEST_DELAY)
        return now
