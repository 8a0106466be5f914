"""Values kept in the memory of a process: bounded, counted, forgotten in time."""

from megahertz.cache.arc import ARC
from megahertz.cache.hot import Hot, HotKey
from megahertz.cache.kind import Cache, CacheStatistics
from megahertz.cache.local import Local
from megahertz.cache.lru import LRU
from megahertz.cache.shards import Sharded

__all__ = ["ARC", "LRU", "Cache", "CacheStatistics", "Hot", "HotKey", "Local", "Sharded"]
