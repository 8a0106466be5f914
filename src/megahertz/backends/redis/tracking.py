"""Client-side caching: the server says which keys of those that were read have changed.

Source: redis.io, "Client-side caching in Redis", the default mode over RESP3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from megahertz.backends.redis.commands.words import text


@dataclass(frozen=True, slots=True)
class Tracking:
    """What a connection says for it, and what becomes of what it hears."""

    invalidated: Callable[[list[Any] | None], object]
    prefixes: tuple[str, ...]
    noloop: bool

    def said(self) -> dict[str, Any]:
        """The connection's arguments."""
        words: list[Any] = ["CLIENT", "TRACKING", "ON"]
        if self.prefixes:
            words += ["BCAST", *(word for each in self.prefixes for word in ("PREFIX", each))]
        if self.noloop:
            words.append("NOLOOP")
        return {"greeting": [tuple(words)], "push": self._heard, "lost": self._lost}

    def _heard(self, said: Any) -> None:
        if isinstance(said, list) and text(said[0]) == "invalidate":
            self.invalidated(said[1])

    def _lost(self, _: str) -> None:
        self.invalidated(None)
