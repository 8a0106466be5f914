"""How many extra tries there may be: retries must not become the load that they answer to.

Theory: every call pays a tenth of a token in, every extra try takes a whole one out (Finagle's
`RetryBudget`, Kitex's retry percentage, gRPC's `retryThrottling`). However much fails, extra tries
are at most `ratio` of the calls and `reserve` beyond that. The reserve lets a service with little
traffic retry at all; what is not used is not saved up above it.
"""

from dataclasses import dataclass
from typing import Final

from megahertz.errors import BadSettings

_TOKEN: Final = 1_000_000
"""In ints: with floats ten tenths are not one."""


@dataclass(frozen=True, slots=True)
class BudgetStatistics:
    """Calls, extra tries that were allowed, those that were not, and whole tokens left."""

    calls: int
    tries: int
    refused: int
    tokens: int


class RetryBudget:
    """Allows extra tries for at most `ratio` of the calls.

    Args:
        ratio: extra tries a call (Finagle: 0.2; Kitex: 0.1).
        reserve: tries beyond that, at any time (gRPC's maxTokens: 10).

    Raises:
        BadSettings: a number that cannot be.
    """

    __slots__ = ("_calls", "_most", "_ratio", "_refused", "_tokens", "_tries")

    def __init__(self, ratio: float = 0.1, *, reserve: int = 10) -> None:
        if not (0 <= ratio <= 1 and reserve >= 1):
            raise BadSettings(f"RetryBudget({ratio}, {reserve=}): 0 <= ratio <= 1, reserve >= 1")
        self._ratio = int(ratio * _TOKEN)
        self._tokens = self._most = reserve * _TOKEN
        self._calls = self._tries = self._refused = 0

    def count(self) -> None:
        """A call begins."""
        self._calls += 1
        self._tokens = min(self._tokens + self._ratio, self._most)

    def try_acquire(self) -> bool:
        """Whether a call that was counted may try once more."""
        if self._tokens < _TOKEN:
            self._refused += 1
            return False
        self._tokens -= _TOKEN
        self._tries += 1
        return True

    def statistics(self) -> BudgetStatistics:
        """A snapshot."""
        left = self._tokens // _TOKEN
        return BudgetStatistics(self._calls, self._tries, self._refused, left)
