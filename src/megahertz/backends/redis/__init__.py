"""Redis: a client over the engine's link, and the broker of rooms."""

from megahertz.backends.redis.broker import RedisBroker
from megahertz.backends.redis.client import Redis
from megahertz.backends.redis.options import Options
from megahertz.backends.redis.pipeline import Pipeline

__all__ = ["Options", "Pipeline", "Redis", "RedisBroker"]
