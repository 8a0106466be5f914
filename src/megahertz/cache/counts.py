"""What levels of a cache count."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Since the cache was made.

    Attributes:
        shared: values found in Redis.
        loads: calls of the loader that gave something.
        failures: those that did not.
        joined: calls that waited for a load that was under way.
        refused: loads that Redis did not take, because something newer was there.
        changed: keys that others said to have changed.
        away: times that Redis could not help.
    """

    shared: int = 0
    loads: int = 0
    failures: int = 0
    joined: int = 0
    refused: int = 0
    changed: int = 0
    away: int = 0


@dataclass(frozen=True, slots=True)
class TiersStatistics:
    """A snapshot: `hits` of the local level, what `Counts` has, and loads `under_way`."""

    hits: int
    shared: int
    loads: int
    failures: int
    joined: int
    refused: int
    changed: int
    away: int
    under_way: int
