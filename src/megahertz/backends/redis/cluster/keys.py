"""Which key a command is about, and which slot that is in.

Source: redis.io, "Redis cluster specification", sections "Key distribution model" and "Hash tags".
"""

from binascii import crc_hqx
from typing import Any

from megahertz.backends.redis.commands import Words
from megahertz.backends.redis.commands.words import text
from megahertz.errors import Misused

SLOTS = 16_384

_SECOND = """
BITOP OBJECT MEMORY XINFO XGROUP DEBUG ZUNION ZINTER ZDIFF ZINTERCARD SINTERCARD LMPOP ZMPOP
"""
_THIRD = "EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO BLMPOP BZMPOP MIGRATE"
_PLACES = {**dict.fromkeys(_SECOND.split(), 2), **dict.fromkeys(_THIRD.split(), 3)}
"""Where the first key is, where it is not the first argument (COMMAND INFO)."""

_KEYLESS = """
ACL BGREWRITEAOF BGSAVE CLIENT CLUSTER COMMAND CONFIG DBSIZE ECHO FLUSHALL FLUSHDB FUNCTION INFO
KEYS LASTSAVE LATENCY MODULE PING PUBLISH PUBSUB RANDOMKEY ROLE SAVE SCAN SCRIPT SLOWLOG TIME WAIT
WAITAOF
"""
_NO_KEY = frozenset(_KEYLESS.split())

_COUNTED = frozenset(["EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"])


def key_of(words: Words) -> Any | None:
    """The first key of a command; None where it has none."""
    name = text(words[0]).upper()
    if name in _NO_KEY:
        return None
    if name in ("XREAD", "XREADGROUP"):
        upper = [text(word).upper() for word in words]
        return words[upper.index("STREAMS") + 1]
    if name in _COUNTED and int(words[2]) == 0:
        return None
    place = _PLACES.get(name, 1)
    return words[place] if len(words) > place else None


def slot(key: Any) -> int:
    """CRC16 (XMODEM) of the key, or of what stands in its first braces, of 16,384."""
    octets = _octets(key)
    begin = octets.find(b"{")
    if begin >= 0:
        end = octets.find(b"}", begin + 1)
        if end > begin + 1:
            octets = octets[begin + 1 : end]
    return crc_hqx(octets, 0) % SLOTS


def _octets(key: Any) -> bytes:
    if isinstance(key, str):
        return key.encode()
    if isinstance(key, (bytes, bytearray, memoryview)):
        return bytes(key)
    if isinstance(key, (int, float)):
        return repr(key).encode()
    raise Misused(f"{key!r} is no key")
