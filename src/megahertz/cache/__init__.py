"""Values kept in the memory of a process, in Redis behind it, and loaded where they are in neither.

Bounded, counted, forgotten in time.
"""

from megahertz.cache.arc import ARC
from megahertz.cache.cached import Cached, cached
from megahertz.cache.counts import TiersStatistics
from megahertz.cache.held import Held
from megahertz.cache.hot import Hot, HotKey
from megahertz.cache.kind import Cache, CacheStatistics
from megahertz.cache.local import Local
from megahertz.cache.lru import LRU
from megahertz.cache.remote import Remote
from megahertz.cache.sessions import (
    Fields,
    MemorySessions,
    RedisSessions,
    SessionStore,
    new_token,
)
from megahertz.cache.shards import Sharded
from megahertz.cache.tiers import Tiers

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
