"""Clients of outside systems, thin over well-kept libraries."""

from megahertz.backends.postgres import PostgresSink
from megahertz.backends.redis import Redis, RedisBroker, RedisCluster, Sentinel
from megahertz.backends.redis_laws import Law, RedisLaws, Rule, rule
from megahertz.backends.sink import Sink
from megahertz.backends.sqlite import SQLiteSink

__all__ = [
    "Law",
    "PostgresSink",
    "Redis",
    "RedisBroker",
    "RedisCluster",
    "RedisLaws",
    "Rule",
    "SQLiteSink",
    "Sentinel",
    "Sink",
    "rule",
]
