"""Keys of records that are pending or were persisted lately: a repeat is told from a reuse."""

from asyncio import Future
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Entry(Generic[T]):
    """One record on its way: `future` until it is durable, `more` where others wait for it too."""

    __slots__ = ("encoded", "future", "key", "more", "record", "sequence")

    def __init__(
        self,
        key: Hashable,
        record: T,
        *,
        encoded: bytes,
        sequence: int,
        future: Future[None] | None = None,
    ) -> None:
        self.key, self.record, self.encoded = key, record, encoded
        self.sequence, self.future = sequence, future
        self.more: list[Future[None]] | None = None

    def resolve(self, error: Exception | None = None) -> None:
        """Tells whoever waits; a put that was cancelled is not told."""
        futures = [self.future, *(self.more or ())]
        self.future = self.more = None
        for future in futures:
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


class Window(Generic[T]):
    """Pending entries, all of them, and the encoded bytes of the last `size` persisted records."""

    __slots__ = ("_kept", "_known", "_size", "released")

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: dict[Hashable, Entry[T] | bytes] = {}
        self._kept: deque[tuple[Hashable, int]] = deque()
        self.released = 0
        """Up to this sequence number the journal may forget."""

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Hashable) -> Entry[T] | bytes | None:
        """The pending entry, or the bytes of the persisted record."""
        return self._known.get(key)

    def add(self, entry: Entry[T]) -> None:
        """A record that is now pending."""
        self._known[entry.key] = entry

    def discard(self, entry: Entry[T]) -> None:
        """A record that was refused: its key is free again."""
        if self._known.get(entry.key) is entry:
            del self._known[entry.key]

    def keep(self, key: Hashable, encoded: bytes, sequence: int) -> None:
        """A record that was persisted; the oldest beyond the size is forgotten."""
        self._known[key] = encoded
        self._kept.append((key, sequence))
        while len(self._kept) > self._size:
            oldest, self.released = self._kept.popleft()
            if isinstance(self._known.get(oldest), bytes):
                del self._known[oldest]
