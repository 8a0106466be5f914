"""What a worker holds of a value, and the awaitable that finds it."""

import math
import random
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from megahertz.cache.kind import Cache, K
from megahertz.cache.local import Local

V = TypeVar("V")


class Held(Generic[V]):
    """A value in a local cache.

    Attributes:
        value: as it was loaded or decoded; all callers get the same object.
        soon: the moment from which on a hit has it loaded anew, beside what it gives.
        end: the moment from which on it is not given any more.
        token: of what Redis had.
        turn: of the local cache, when a use was last noted.
    """

    __slots__ = ("end", "soon", "token", "turn", "value")

    def __init__(self, value: V, soon: float, end: float, token: bytes = b"") -> None:
        self.value, self.soon, self.end, self.token = value, soon, end, token
        self.turn = -1


def early(took: float, beta: float) -> float:
    """Seconds before its end at which a value is loaded anew, at random (XFetch).

    Source: Vattani, Chierichetti, Lowenstein, Optimal Probabilistic Cache Stampede Prevention,
    PVLDB 8:8, 2015, figure 3: `now - delta * beta * log(rand()) >= expiry`. There the draw is made
    at every request; here once a fill and worker, since all requests of a worker share one load:
    the workers are what could stampede, and each has a moment of its own.
    """
    return -took * beta * math.log(1.0 - random.random())


def finder(
    local: Cache[K, Held[V]],
    now: Callable[[], float],
    missed: Callable[[K], Coroutine[Any, Any, V]],
) -> Callable[[K], Coroutine[Any, Any, V]]:
    """`async def get(key)`, made for one cache: what is held and fresh, else `missed`.

    Theory: a hit must not cost more than the coroutine that it is. So there is one Python frame,
    all it needs are closure cells, and one comparison stands for all reasons to look twice. A use
    is noted once between two fills: only a fill lets something go, and what was used since the one
    before is kept either way. What counts keys, has locks or is none of ours is asked by its own
    `get`, in `missed`.
    """
    if not isinstance(local, Local) or local._hot is not None:

        async def ask(key: K) -> V:
            return await missed(key)

        return ask
    entries, use, pulse = local._entries, local._use, local._pulse

    async def get(key: K) -> V:
        try:
            held: Held[V] = entries[key][0]
        except KeyError:
            return await missed(key)
        if held.soon > now():
            if held.turn is not pulse.turn:
                held.turn = pulse.turn
                use(key)
            pulse.hits += 1
            return held.value
        return await missed(key)

    return get
