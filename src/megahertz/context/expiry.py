"""The deadline of a message, as a header: when it is over, by the wall clock.

A budget of milliseconds (`budget.py`) would begin anew whenever a message is taken from a queue
in which it may have lain for an hour. So what is told is a moment, which both sides compare with
their own clocks: those have to agree to less than what a message is given, as NTP makes them.
"""

import re
import time
from typing import Final

from megahertz.context.deadline import deadline
from megahertz.errors import RemoteProtocolError

EXPIRY_HEADER: Final = "x-mhz-deadline"
"""Milliseconds since 1970, in UTC; brokers' own expiries are of the message, not of the work."""

_MOMENT = re.compile(r"[0-9]{1,15}", re.ASCII)


def expiry() -> str | None:
    """The header's value for what is sent now; None without a deadline."""
    left = deadline()
    return None if left is None else str(int((time.time() + left) * 1000))


def read_expiry(text: str) -> float:
    """Seconds that are left, from the value of a header; 0.0 where it is over.

    Raises:
        RemoteProtocolError: it is not a whole number of milliseconds of at most 15 digits.
    """
    if not _MOMENT.fullmatch(text):
        raise RemoteProtocolError(f"a deadline of {text[:20]!r}: Unix milliseconds expected")
    return max(0.0, int(text) / 1000 - time.time())
