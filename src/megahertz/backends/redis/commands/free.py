"""Any command, by its words."""

from collections.abc import Awaitable
from typing import Any

from megahertz.backends.redis.commands.words import Asks, text
from megahertz.errors import Misused

_READS = """
BITCOUNT BITFIELD_RO BITPOS DBSIZE DUMP ECHO EXISTS EXPIRETIME GEODIST GEOHASH GEOPOS GEOSEARCH GET
GETBIT GETRANGE HEXISTS HGET HGETALL HKEYS HLEN HMGET HSCAN HSTRLEN HVALS KEYS LCS LINDEX LLEN LPOS
LRANGE MGET PEXPIRETIME PFCOUNT PING PTTL RANDOMKEY SCAN SCARD SDIFF SINTER SINTERCARD SISMEMBER
SMEMBERS SMISMEMBER SORT_RO SRANDMEMBER SSCAN STRLEN SUBSTR SUNION TIME TTL TYPE XLEN XRANGE
XREVRANGE ZCARD ZCOUNT ZDIFF ZINTER ZINTERCARD ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE ZRANGEBYLEX
ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION
"""
READS = frozenset(_READS.split())
"""Those that change nothing, so that asking twice does no harm (flag `readonly` of COMMAND)."""

_BLOCKS = "BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN WAIT WAITAOF"
BLOCKS = frozenset(_BLOCKS.split())
"""Those that the server answers when it likes."""

_BINDS = """
MULTI EXEC DISCARD WATCH UNWATCH SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE
SUNSUBSCRIBE MONITOR SELECT AUTH RESET HELLO QUIT SYNC PSYNC
"""
BINDS = frozenset(_BINDS.split())
"""Those that change what the server thinks of the connection, which is not one task's own."""


class Free(Asks):
    """Whatever there is no method for."""

    def execute(self, *words: Any, timeout: float | None = None) -> Awaitable[Any]:
        """A command by its words; its reply as it comes.

        Args:
            timeout: seconds for the reply; None: the client's.

        Raises:
            Misused: it would change the connection, which others use too.
        """
        name = text(words[0]).upper()
        if name in BINDS:
            raise Misused(f"{name} would change the connection that all tasks share")
        if name in BLOCKS or (name in ("XREAD", "XREADGROUP") and "BLOCK" in words):
            return self._blocking(words, None, 0)
        return self._command(words, None, name in READS, timeout)

    def execute_command(self, *args: Any, **_: Any) -> Awaitable[Any]:
        """redis-py's name of `execute`; the first word may be several, `CONFIG GET`."""
        first: Any = args[0]
        words = first.split(" ") if isinstance(first, str) else [first]
        return self.execute(*words, *args[1:])
