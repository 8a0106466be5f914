"""How keys are called between machines, and whose they are here."""

from collections.abc import Iterable
from typing import Final, Generic

import msgspec

from megahertz.cache.kind import K
from megahertz.errors import Misused

SLACK: Final = 1_000
"""Names that are remembered beyond those of what is held."""


class Wires(Generic[K]):
    """`name:` and the key as JSON; and back, for the keys that this worker may hold.

    To decode a name would not do: a tuple comes back as a list, octets as text, and a cache that
    does not find what it was told to forget is wrong. So the way back is remembered.
    """

    __slots__ = ("_keys", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._keys: dict[str, K] = {}

    def of(self, key: K) -> str:
        """The name of a key.

        Raises:
            Misused: JSON has nothing like it.
        """
        try:
            octets = msgspec.json.encode(key, order="deterministic")
        except (TypeError, ValueError) as error:
            raise Misused(f"cache {self._name}: {key!r} is no key: {error}") from None
        return f"{self._name}:{octets.decode()}"

    def note(self, key: K) -> str:
        """The same, for a key that will be held."""
        wire = self.of(key)
        self._keys[wire] = key
        return wire

    def keys(self, wire: str) -> list[K]:
        """Whose name it is: one, or none that is held here; forgotten with that."""
        return [self._keys.pop(wire)] if wire in self._keys else []

    def trim(self, held: Iterable[K]) -> None:
        """Forgets the names of keys that are not held any more."""
        keep = set(held)
        self._keys = {wire: key for wire, key in self._keys.items() if key in keep}

    def __len__(self) -> int:
        return len(self._keys)
