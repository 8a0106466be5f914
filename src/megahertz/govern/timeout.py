"""A call has so long and no longer."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from megahertz.context import deadline
from megahertz.govern.guard import Block


class Timeout(Block):
    """Narrows the deadline of each call to `seconds`; `megahertz.deadline`, as a guard.

    Args:
        seconds: of each call.
        fallback: what is answered instead of `DeadlineExceeded`: a value, a function of the
            call's arguments, or `Stale`.

    Raises:
        BadSettings: less than 0 seconds.
    """

    def __init__(self, seconds: float, *, fallback: Any = None) -> None:
        super().__init__(fallback)
        deadline(seconds)  # refuses what cannot be
        self._seconds = seconds

    def _block(self) -> AbstractAsyncContextManager[Any]:
        return deadline(self._seconds)

    def __repr__(self) -> str:
        return f"Timeout({self._seconds:g})"
