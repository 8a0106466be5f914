"""Numbers of any width within a string."""

from collections.abc import Awaitable, Sequence
from typing import Any, Self

from megahertz.backends.redis.commands.words import Asks, Key

Offset = int | str
"""In bits, or `#2`: so many times the width."""


class BitFields(Asks):
    """BITFIELD and BITFIELD_RO."""

    def bitfield(self, key: Key, default_overflow: str | None = None) -> "BitField":
        """Steps upon one string, done together by `execute`."""
        return BitField(self, key, default_overflow)

    def bitfield_ro(
        self,
        key: Key,
        encoding: str,
        offset: Offset,
        items: Sequence[tuple[str, Offset]] | None = None,
    ) -> Awaitable[list[int]]:
        """Reads a number, and others."""
        pairs = [(encoding, offset), *(items or ())]
        steps = [word for pair in pairs for word in ("GET", *pair)]
        return self._command(("BITFIELD_RO", key, *steps), None, True)


class BitField:
    """`redis.bitfield("b").set("u8", 0, 255).incrby("u8", 0, 1, overflow="SAT").execute()`."""

    def __init__(self, client: Asks, key: Key, default_overflow: str | None = None) -> None:
        self._client, self._key, self._default = client, key, default_overflow
        self.reset()

    def reset(self) -> None:
        """Forgets the steps."""
        self._steps: list[Any] = []
        self._overflow = "WRAP"
        self.overflow(self._default or "WRAP")

    def overflow(self, overflow: str) -> Self:
        """What steps behind it do: WRAP, SAT or FAIL."""
        kind = overflow.upper()
        if kind != self._overflow:
            self._overflow = kind
            self._steps += ["OVERFLOW", kind]
        return self

    def incrby(self, fmt: str, offset: Offset, increment: int, overflow: str | None = None) -> Self:
        """Adds to a number of a format: `u8`, `i16`."""
        if overflow is not None:
            self.overflow(overflow)
        self._steps += ["INCRBY", fmt, offset, increment]
        return self

    def get(self, fmt: str, offset: Offset) -> Self:
        """Reads one."""
        self._steps += ["GET", fmt, offset]
        return self

    def set(self, fmt: str, offset: Offset, value: int) -> Self:
        """Sets one; gives what it was."""
        self._steps += ["SET", fmt, offset, value]
        return self

    @property
    def command(self) -> list[Any]:
        """Its words."""
        return ["BITFIELD", self._key, *self._steps]

    def execute(self) -> Awaitable[list[int | None]]:
        """Does the steps; what each gave, None where it failed by an overflow."""
        words = tuple(self.command)
        self.reset()
        return self._client._command(words)
