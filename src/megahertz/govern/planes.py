"""Where the cells of guards lie, and what they are called there."""

from collections import Counter
from functools import cache

from megahertz.engine import Plane, plane

_taken: Counter[str] = Counter()


@cache
def private() -> Plane:
    """One for the process, made when it is first asked for."""
    return Plane()


def machine() -> Plane:
    """The one of the server that this process is of; its own where it is of none."""
    return plane() or private()


def name(of: str) -> str:
    """The same in every worker, as all of them run the same program: `of`, and which of those."""
    _taken[of] += 1
    return of if _taken[of] == 1 else f"{of} #{_taken[of]}"
