"""ARC, a cache that learns how much of it to give to what is new and to what comes back.

Theory: Megiddo and Modha, ARC: A Self-Tuning, Low Overhead Replacement Cache, FAST 2003, figure 4.
Keys lie in four lists, each in the order of use. T1 has what was used once of late, T2 what was
used again; both are in the cache. B1 and B2 have the keys, not the values, of what went from T1 and
from T2: ghosts. A miss on a ghost of B1 says that T1 is too small, so its share `p` grows, and on a
ghost of B2 that T2 is. A scan passes through T1 and leaves T2 alone.

    |T1| + |T2| <= c,  |T1| + |B1| <= c,  |T1| + |T2| + |B1| + |B2| <= 2c,  0 <= p <= c

The paper's request is a `get`, and a `set` after one that found nothing. Where it has one page to
find room for and a full cache, we have weights, ends and `delete`, so:

- |T| is a sum of weights and "delete the LRU page" is done until the new one fits; a step of `p`
  is multiplied by the weight of the ghost. With weights of 1 every step is the paper's.
- REPLACE is done only where there is no room; in the paper there never is where it is called.
- What is over or deleted leaves no ghost: it did not go because the cache is small.

Rejected: CAR and CLOCK-Pro, whose hits are cheaper under a lock, which we do not have; 2Q, whose
two sizes have to be chosen.
"""

from collections import OrderedDict
from typing import Generic

from megahertz.cache.kind import K, V
from megahertz.cache.local import Entry, Local


class _Keys(Generic[K]):
    """Keys in the order of use, their weights and the sum of them."""

    __slots__ = ("keys", "weight")

    def __init__(self) -> None:
        self.keys: OrderedDict[K, int] = OrderedDict()
        self.weight = 0

    def add(self, key: K, weight: int) -> None:
        self.keys[key] = weight
        self.weight += weight

    def drop(self, key: K) -> int:
        weight = self.keys.pop(key)
        self.weight -= weight
        return weight

    def drop_oldest(self) -> tuple[K, int]:
        key, weight = self.keys.popitem(last=False)
        self.weight -= weight
        return key, weight


class ARC(Local[K, V]):
    """Adapts between what is new and what comes back; for one thread. Parameters are `Local`'s.

    Beside the entries it holds the keys of as many (of as much weight) that went.
    """

    def _begin(self) -> None:
        self._entries = {}
        self._use = self._again

    def clear(self) -> None:
        """Forgets everything, what it has learnt too, but what was counted."""
        self._entries.clear()
        self._t1, self._t2 = _Keys[K](), _Keys[K]()
        self._b1, self._b2 = _Keys[K](), _Keys[K]()
        self._p = 0.0

    @property
    def recent(self) -> float:
        """p, the weight that T1 is to have: 0 where only what comes back is worth keeping."""
        return self._p

    def _again(self, key: K) -> None:
        """Case I: a hit."""
        keys = self._t2.keys
        if key in keys:
            keys.move_to_end(key)
        else:
            self._t2.add(key, self._t1.drop(key))

    def _put(self, key: K, entry: Entry[V]) -> None:
        weight = entry[2]
        if key in self._entries:
            self._drop(key)
            self._room(weight)
            self._t2.add(key, weight)
        elif key in self._b1.keys:
            self._ghost_of_t1(key, weight)
        elif key in self._b2.keys:
            self._ghost_of_t2(key, weight)
        else:
            self._new(key, weight)
        self._entries[key] = entry
        while self._weight_known() > 2 * self.capacity:
            self._b2.drop_oldest()

    def _ghost_of_t1(self, key: K, weight: int) -> None:
        """Case II."""
        b1, b2 = self._b1, self._b2
        step = max(1.0, b2.weight / b1.weight) * b1.keys[key]
        self._p = min(self._p + step, self.capacity)
        self._room(weight)
        b1.drop(key)
        self._t2.add(key, weight)

    def _ghost_of_t2(self, key: K, weight: int) -> None:
        """Case III."""
        b1, b2 = self._b1, self._b2
        step = max(1.0, b1.weight / b2.weight) * b2.keys[key]
        self._p = max(self._p - step, 0.0)
        self._room(weight, of_b2=True)
        b2.drop(key)
        self._t2.add(key, weight)

    def _new(self, key: K, weight: int) -> None:
        """Case IV."""
        t1, b1 = self._t1, self._b1
        while t1.weight + b1.weight + weight > self.capacity:
            if b1.keys:
                b1.drop_oldest()
            else:
                self._gone(self._entries.pop(t1.drop_oldest()[0]))
        self._room(weight)
        t1.add(key, weight)

    def _room(self, weight: int, *, of_b2: bool = False) -> None:
        """REPLACE, until there is room."""
        while self._total() + weight > self.capacity:
            here = self._t1.weight
            first = here > self._p or (of_b2 and here == self._p) or not self._t2.keys
            if first and self._t1.keys:
                self._evict(self._t1, self._b1)
            else:
                self._evict(self._t2, self._b2)

    def _evict(self, keys: _Keys[K], ghosts: _Keys[K]) -> None:
        key, weight = keys.drop_oldest()
        ghosts.add(key, weight)
        self._gone(self._entries.pop(key))

    def _drop(self, key: K) -> Entry[V]:
        (self._t1 if key in self._t1.keys else self._t2).drop(key)
        return self._entries.pop(key)

    def _total(self) -> int:
        return self._t1.weight + self._t2.weight

    def _weight_known(self) -> int:
        return self._total() + self._b1.weight + self._b2.weight

    def _order(self) -> list[K]:
        return [*self._t1.keys, *self._t2.keys]
