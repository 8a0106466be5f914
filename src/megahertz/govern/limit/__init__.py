"""Rate limits: four laws, three scopes."""

from megahertz.govern.limit.keys import Key
from megahertz.govern.limit.laws import GCRA, LeakyBucket, SlidingWindow, TokenBucket
from megahertz.govern.limit.limiter import KEYS, Limiter, LimitStatistics
from megahertz.govern.limit.redis import RedisScope, RedisStatistics

__all__ = [
    "GCRA",
    "KEYS",
    "Key",
    "LeakyBucket",
    "LimitStatistics",
    "Limiter",
    "RedisScope",
    "RedisStatistics",
    "SlidingWindow",
    "TokenBucket",
]
