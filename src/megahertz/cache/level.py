"""The remote level of one cache: its values, what was deleted, and who may load."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from megahertz.cache.counts import Counts
from megahertz.cache.keep import Keep
from megahertz.cache.remote import AWAY, Remote
from megahertz.cache.stored import ABSENT, GONE, NOTHING, VALUE, Stored, packed

_UNREAD: Final = (msgspec.MsgspecError, ValueError, TypeError, KeyError)
"""What decoders raise over what another version of the program wrote."""

UNKNOWN: Final = object()
"""What `Level.value` gives where nothing was stored that can be used."""


class Level:
    """Asks a `Remote` for one cache; where there is none, nothing is ever found.

    Args:
        encode: a value to octets; decode: back.
        timeout: seconds that a load takes at most.
        raises: whether a Redis that is away is an error.
    """

    def __init__(
        self,
        remote: Remote | None,
        keep: Keep,
        counts: Counts,
        *,
        encode: Callable[[Any], bytes],
        decode: Callable[[bytes], Any],
        timeout: float,
        raises: bool,
    ) -> None:
        self._remote, self._keep, self._counts = remote, keep, counts
        self._encode, self._decode = encode, decode
        self._timeout, self._raises = timeout, raises

    @property
    def heard(self) -> bool:
        """Whether changes of others are heard of."""
        return self._remote is None or self._remote.heard

    @property
    def alone(self) -> bool:
        """Whether there is none."""
        return self._remote is None

    async def read(self, wire: str) -> Stored | None:
        """What there is of a key; None: Redis is away, and that is no error here."""
        if self._remote is None:
            return ABSENT
        try:
            self._remote.check()
            return await self._remote.read(wire)
        except AWAY:
            self._counts.away += 1
            if self._raises:
                raise
            return None

    def value(self, stored: Stored) -> Any:
        """What was stored, or UNKNOWN: it was deleted, or cannot be read."""
        if stored.kind == NOTHING:
            return None
        if stored.kind != VALUE:
            return UNKNOWN
        try:
            return self._decode(stored.body)
        except _UNREAD:
            return UNKNOWN

    async def fill(
        self, wire: str, value: Any, *, seen: bytes, fresh: float, took: float
    ) -> tuple[bytes, Stored | None]:
        """Writes what was loaded: its token, and what is there instead where that is newer."""
        if self._remote is None:
            return b"", None
        token, payload, seconds = self._packed(value, fresh, took)
        try:
            there = await self._remote.fill(wire, seen, payload, seconds)
        except AWAY:
            self._counts.away += 1
            return b"", None
        self._counts.refused += there is not None
        return token, there

    def _packed(self, value: Any, fresh: float, took: float = 0.0) -> tuple[bytes, bytes, float]:
        if fresh <= 0:
            return *packed(GONE), self._tomb
        if value is None:
            return *packed(NOTHING, took), fresh
        return *packed(VALUE, took, self._encode(value)), fresh + self._keep.stale

    @property
    def _tomb(self) -> float:
        """Seconds for which a delete is remembered: longer than any load that began before it."""
        return 3 * self._timeout

    async def write(self, wire: str, value: Any) -> None:
        """Writes it whatever there is, and tells everybody; UNKNOWN: deletes it.

        Raises:
            BackendError, Overloaded: Redis is away; whether it was done may be unknown.
        """
        if self._remote is None:
            return
        gone = value is UNKNOWN
        _, payload, seconds = self._packed(value, 0.0 if gone else self._keep.fresh(value))
        await self._remote.change(wire, payload, seconds, repeat=gone)

    async def claim(self, wire: str, owner: str) -> bool:
        """Whether this worker may load the key now; where Redis is away, all may."""
        if self._remote is None:
            return True
        try:
            return await self._remote.claim(wire, owner, self._timeout)
        except AWAY:
            self._counts.away += 1
            if self._raises:
                raise
            return True

    async def release(self, wire: str, owner: str) -> None:
        """Others may."""
        if self._remote is not None:
            try:
                await self._remote.release(wire, owner)
            except AWAY:
                self._counts.away += 1  # the lease ends by itself
