"""Where the cells of guards lie, and what they are called there."""

from collections import Counter
from functools import cache
from itertools import count
from typing import Final

from megahertz.clock import Clock
from megahertz.engine import Plane, plane

ROOM: Final = 4096
"""Names in a plane of `passing`; a plane has room for 8,192."""

_taken: Counter[str] = Counter()
_numbers = count()
_passing: Plane | None = None


@cache
def private() -> Plane:
    """One for the process, made when it is first asked for."""
    return Plane()


def found(clock: Clock | None) -> Plane:
    """The one of the server that this process is of; its own where it is of none. A clock of a
    test's is another time than that of whoever else counts there: it has one for itself."""
    return plane() or private() if clock is None else Plane()


def passing() -> tuple[Plane, int]:
    """Where something lies that does not stay, and its number there.

    A plane forgets no name. So after some thousands of them there is another one, and the former
    goes with the last that lies in it.
    """
    global _passing
    number = next(_numbers)
    if _passing is None or number % ROOM == 0:
        _passing = Plane()
    return _passing, number


def name(of: str) -> str:
    """The same in every worker, as all of them run the same program: `of`, and which of those."""
    _taken[of] += 1
    return of if _taken[of] == 1 else f"{of} #{_taken[of]}"
