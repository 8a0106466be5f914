"""Where cells lie that joined no server's plane: in memory of this process."""

from collections import Counter
from functools import cache

from megahertz.engine import Plane

_taken: Counter[str] = Counter()


@cache
def private() -> Plane:
    """One for the process, made when it is first asked for."""
    return Plane()


def name(of: str) -> str:
    """The same in every worker, as all of them run the same program: `of`, and which of those."""
    _taken[of] += 1
    return of if _taken[of] == 1 else f"{of} #{_taken[of]}"
