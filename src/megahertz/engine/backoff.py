"""How long to wait before something that ended is started again."""

from dataclasses import dataclass

FIRST_DELAY = 0.1
LONGEST_DELAY = 30.0
STEADY = 60.0
"""Seconds (systemd's RestartSec begins at 0.1)."""


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
