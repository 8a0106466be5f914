"""Where the cells of guards lie, and what they are called there."""

from collections import Counter
from functools import cache

from megahertz.clock import Clock
from megahertz.engine import Plane, plane

_taken: Counter[str] = Counter()


@cache
def private() -> Plane:
    """One for the process, made when it is first asked for."""
    return Plane()


def found(clock: Clock | None) -> Plane:
    """The one of the server that this process is of; its own where it is of none. A clock of a
    test's is another time than that of whoever else counts there: it has one for itself."""
    return plane() or private() if clock is None else Plane()


def name(of: str) -> str:
    """The same in every worker, as all of them run the same program: `of`, and which of those."""
    _taken[of] += 1
    return of if _taken[of] == 1 else f"{of} #{_taken[of]}"
