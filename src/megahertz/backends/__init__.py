"""Clients of outside systems, thin over well-kept libraries."""

from megahertz.backends.consul import Consul
from megahertz.backends.etcd import Etcd
from megahertz.backends.postgres import PostgresSink
from megahertz.backends.redis import PubSub, Redis, RedisBroker, RedisCluster, Script, Sentinel
from megahertz.backends.redis_laws import Law, RedisLaws, Rule, rule
from megahertz.backends.sink import Sink
from megahertz.backends.sqlite import SQLiteSink

__all__ = [
    "Consul",
    "Etcd",
    "Law",
    "PostgresSink",
    "PubSub",
    "Redis",
    "RedisBroker",
    "RedisCluster",
    "RedisLaws",
    "Rule",
    "SQLiteSink",
    "Script",
    "Sentinel",
    "Sink",
    "rule",
]
