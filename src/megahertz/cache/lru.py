"""A cache that forgets first what was used longest ago."""

from collections import OrderedDict

from megahertz.cache.kind import K, V
from megahertz.cache.local import Entry, Local


class LRU(Local[K, V]):
    """Forgets first what was used longest ago; for one thread. The parameters are `Local`'s.

    A hit is a look-up and a move to the end of the C dict, both without a Python frame. One scan
    that is longer than the capacity forgets everything: `ARC` does not.
    """

    _entries: OrderedDict[K, Entry[V]]

    def _begin(self) -> None:
        self._entries = OrderedDict()
        self._use = self._entries.move_to_end

    def clear(self) -> None:
        """Forgets everything but what was counted."""
        self._entries.clear()
        self._weight = 0

    def _put(self, key: K, entry: Entry[V]) -> None:
        entries = self._entries
        if key in entries:
            self._drop(key)
        self._weight += entry[2]
        while self._weight > self.capacity:
            _, oldest = entries.popitem(last=False)
            self._weight -= oldest[2]
            self._gone(oldest)
        entries[key] = entry

    def _drop(self, key: K) -> Entry[V]:
        entry = self._entries.pop(key)
        self._weight -= entry[2]
        return entry

    def _total(self) -> int:
        return self._weight
