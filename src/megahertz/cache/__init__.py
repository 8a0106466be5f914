"""Values kept in the memory of a process, in Redis behind it, and loaded where they are in neither.

Bounded, counted, forgotten in time.
"""

from typing import TYPE_CHECKING

from megahertz.lazy import door

if TYPE_CHECKING:
    from megahertz.cache.arc import ARC
    from megahertz.cache.counts import TiersStatistics
    from megahertz.cache.function import Cached, cached
    from megahertz.cache.held import Held
    from megahertz.cache.hot import Hot, HotKey
    from megahertz.cache.kind import Cache, CacheStatistics
    from megahertz.cache.local import Local
    from megahertz.cache.lru import LRU
    from megahertz.cache.remote import Remote
    from megahertz.cache.session_store import Fields, SessionStore, new_token
    from megahertz.cache.sessions import MemorySessions, RedisSessions
    from megahertz.cache.shards import Sharded
    from megahertz.cache.tiers import Tiers
else:
    __getattr__, __dir__ = door(
        __name__,
        arc="ARC",
        counts="TiersStatistics",
        function="Cached cached",
        held="Held",
        hot="Hot HotKey",
        kind="Cache CacheStatistics",
        local="Local",
        lru="LRU",
        remote="Remote",
        session_store="Fields SessionStore new_token",
        sessions="MemorySessions RedisSessions",
        shards="Sharded",
        tiers="Tiers",
    )

__all__ = [
    "ARC",
    "LRU",
    "Cache",
    "CacheStatistics",
    "Cached",
    "Fields",
    "Held",
    "Hot",
    "HotKey",
    "Local",
    "MemorySessions",
    "RedisSessions",
    "Remote",
    "SessionStore",
    "Sharded",
    "Tiers",
    "TiersStatistics",
    "cached",
    "new_token",
]
