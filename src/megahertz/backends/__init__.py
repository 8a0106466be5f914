"""Clients of outside systems, thin over well-kept libraries."""

from typing import TYPE_CHECKING

from megahertz.lazy import door

if TYPE_CHECKING:
    from megahertz.backends.consul import Consul
    from megahertz.backends.etcd import Etcd
    from megahertz.backends.postgres import PostgresSink
    from megahertz.backends.redis import PubSub, Redis, RedisBroker, RedisCluster, Script, Sentinel
    from megahertz.backends.redis_laws import Law, RedisLaws, Rule, rule
    from megahertz.backends.sink import Sink
    from megahertz.backends.sqlite import SQLiteSink
else:
    __getattr__, __dir__ = door(
        __name__,
        consul="Consul",
        etcd="Etcd",
        postgres="PostgresSink",
        redis="PubSub Redis RedisBroker RedisCluster Script Sentinel",
        redis_laws="Law RedisLaws Rule rule",
        sink="Sink",
        sqlite="SQLiteSink",
    )

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
