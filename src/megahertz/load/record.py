"""How every request ended: what an audit compares with the server's own books."""

from array import array
from collections.abc import Iterator
from typing import NamedTuple


class Outcome(NamedTuple):
    """One request.

    Attributes:
        id: what `{id}` stood for.
        kind: which template of the mix.
        status: of the answer; None when it is unknown: the request was sent, or partly sent, and
            no answer came.
    """

    id: int
    kind: int
    status: int | None


class Outcomes:
    """Eight bytes a request; `Outcome`s when looked at."""

    __slots__ = ("_first", "_packed")

    def __init__(self, packed: bytes, first_id: int) -> None:
        self._packed = array("Q")
        self._packed.frombytes(packed)
        self._first = first_id

    def __len__(self) -> int:
        return len(self._packed)

    def __iter__(self) -> Iterator[Outcome]:
        first = self._first
        for item in self._packed:
            status = item & 0xFFFF
            yield Outcome(first + (item >> 24), item >> 16 & 0xFF, status or None)
