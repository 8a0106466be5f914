"""So many calls at once and no more: one slow route does not take the whole ship down."""

from dataclasses import dataclass

from megahertz.errors import BulkheadFull


@dataclass(frozen=True, slots=True)
class BulkheadStatistics:
    """Calls that run now, the most allowed, and those refused since the start."""

    running: int
    most: int
    refused: int


class Bulkhead:
    """Counts running calls; `with bulkhead:` raises `BulkheadFull` above `most`.

    It never queues: a call that waits holds its memory and its caller (Nygard, Release It!).
    """

    __slots__ = ("_most", "_refused", "_running")

    def __init__(self, most: int) -> None:
        self._most = most
        self._running = 0
        self._refused = 0

    def __enter__(self) -> None:
        if self._running >= self._most:
            self._refused += 1
            raise BulkheadFull(f"{self._most} calls are running already", retry_after=1.0)
        self._running += 1

    def __exit__(self, *exc: object) -> None:
        self._running -= 1

    def statistics(self) -> BulkheadStatistics:
        """A snapshot."""
        return BulkheadStatistics(self._running, self._most, self._refused)
