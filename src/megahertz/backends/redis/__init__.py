"""Redis: a client over the engine's link, and the broker of rooms."""

from megahertz.backends.redis.broker import RedisBroker
from megahertz.backends.redis.client import Redis
from megahertz.backends.redis.cluster import ClusterPipeline, RedisCluster
from megahertz.backends.redis.commands import Script
from megahertz.backends.redis.lock import Lock
from megahertz.backends.redis.options import Options
from megahertz.backends.redis.pipeline import Pipeline
from megahertz.backends.redis.sentinel import Sentinel
from megahertz.backends.redis.subscriber import PubSub

__all__ = [
    "ClusterPipeline",
    "Lock",
    "Options",
    "Pipeline",
    "PubSub",
    "Redis",
    "RedisBroker",
    "RedisCluster",
    "Script",
    "Sentinel",
]
