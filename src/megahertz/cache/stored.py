"""What a value looks like in Redis: a head of 13 octets, then its encoding.

The first 8 octets are a token, new with every write. Who fills a key shows the token that it saw
before it loaded; where another one is there by now, somebody has written or deleted meanwhile, and
the fill is refused (the lease of Nishtala et al., Scaling Memcache at Facebook, NSDI 2013, 3.2.1,
with the tombstone as what remembers the delete). Rejected: counters, which have to outlive their
key, and times, which take clocks that agree.
"""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

VALUE: Final = 0
NOTHING: Final = 1
"""The loader gave None: a negative entry."""
GONE: Final = 2
"""Deleted: a tombstone, so that what was loaded before does not come back."""

_HEAD: Final = struct.Struct(">8sBf")


@dataclass(frozen=True, slots=True)
class Stored:
    """What Redis has of a key.

    Attributes:
        token: of the write; empty where there is nothing.
        kind: VALUE, NOTHING or GONE.
        took: seconds that the load took.
        body: the encoding of a VALUE.
        left: seconds until Redis forgets it.
    """

    token: bytes
    kind: int
    took: float = 0.0
    body: bytes = b""
    left: float = 0.0


ABSENT: Final = Stored(b"", GONE)


def packed(kind: int, took: float = 0.0, body: bytes = b"") -> tuple[bytes, bytes]:
    """A new token, and what is to be written."""
    token = os.urandom(8)
    return token, _HEAD.pack(token, kind, took) + body


def unpacked(octets: bytes, left: float = 0.0) -> Stored:
    """What was written; what nobody of us wrote is nothing, and may be replaced."""
    if len(octets) < _HEAD.size:
        return Stored(octets[:8], GONE)
    token, kind, took = _HEAD.unpack_from(octets)
    return Stored(token, kind, took, octets[_HEAD.size :], left)


class Codec:
    """Values of one type as octets: msgpack by msgspec, or what is handed in.

    Args:
        type: what is decoded; checked, so that what another version wrote is loaded anew.
        encode: of the value, in msgspec's place.
        decode: of its octets.
    """

    __slots__ = ("decode", "encode")

    def __init__(
        self,
        type: Any = Any,
        encode: Callable[[Any], bytes] | None = None,
        decode: Callable[[bytes], Any] | None = None,
    ) -> None:
        self.encode = encode or msgspec.msgpack.Encoder().encode
        self.decode = decode or msgspec.msgpack.Decoder(type).decode
