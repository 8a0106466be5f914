"""How long those wait who have lost a registry."""

import random
from typing import Final

FIRST: Final = 0.1
LONGEST: Final = 15.0
"""Seconds; Consul's own agents wait up to 30 s, Envoy's xDS client too."""


def pause(attempt: int) -> float:
    """Seconds before an attempt, counted from 1.

    Anything up to twice as much each time: those who lost it together do not come back together
    ("full jitter", AWS Architecture Blog, 2015).
    """
    return random.uniform(0.0, min(FIRST * 2 ** min(attempt, 30), LONGEST))
