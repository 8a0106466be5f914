"""The clients of Redis that a handler of ours can ask: BENCH_CLIENT says which."""

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

HOST = "127.0.0.1"
MANY = 100
KEYS = [f"msg:{number}" for number in range(1000)]
"""Of the cluster's benchmark: some in each slot's third."""


class Store:
    """A client that is connected.

    Attributes:
        get: the client's own.
        many: 100 GETs in one pipeline, as that client has them; gives how many answers came.
    """

    def __init__(self, client: Any, many: Callable[[], Awaitable[int]]) -> None:
        self.get: Callable[[str], Awaitable[bytes]] = client.get
        self.many = many
        self.key = itertools.cycle(KEYS).__next__


@asynccontextmanager
async def opened() -> AsyncIterator[Store | None]:
    """To the Redis, or the cluster, that the benchmark started; None: it has none."""
    port = int(os.environ.get("BENCH_REDIS", "0") or "0")
    nodes = int(os.environ.get("BENCH_CLUSTER", "0") or "0")
    if not (port or nodes):
        yield None
        return
    make = _CLIENTS[os.environ.get("BENCH_CLIENT", "ours")]
    async with make(nodes or port, bool(nodes)) as store:
        yield store


@asynccontextmanager
async def _ours(port: int, cluster: bool) -> AsyncIterator[Store]:
    from megahertz.backends import Redis, RedisCluster

    async with (RedisCluster if cluster else Redis)(HOST, port) as client:
        yield Store(client, lambda: _executed(client))


@asynccontextmanager
async def _redis_py(port: int, cluster: bool) -> AsyncIterator[Store]:
    from redis.asyncio import Redis, RedisCluster

    # Of its 100, those that clients of the last turn have left behind may be most.
    async with (RedisCluster if cluster else Redis)(
        host=HOST, port=port, max_connections=1000
    ) as client:
        yield Store(client, lambda: _executed(client))


async def _executed(client: Any) -> int:
    pipe = client.pipeline(transaction=False)
    for _ in range(MANY):
        pipe.get("msg")
    return len(await pipe.execute())


@asynccontextmanager
async def _coredis(port: int, cluster: bool) -> AsyncIterator[Store]:
    from coredis import Redis, RedisCluster

    async def many() -> int:
        async with client.pipeline(transaction=False) as pipe:
            found = [pipe.get("msg") for _ in range(MANY)]
        return len([await each for each in found])

    async with (RedisCluster if cluster else Redis)(HOST, port, max_connections=1000) as client:
        yield Store(client, many)


@asynccontextmanager
async def _glide(port: int, cluster: bool) -> AsyncIterator[Store]:
    import glide

    async def many() -> int:
        batch = glide.Batch(is_atomic=False)
        for _ in range(MANY):
            batch.get("msg")
        return len(await client.exec(batch, raise_on_error=True))

    nodes = [glide.NodeAddress(HOST, port)]
    if cluster:
        options = glide.GlideClusterClientConfiguration(nodes)
        client = await glide.GlideClusterClient.create(options)
    else:
        client = await glide.GlideClient.create(glide.GlideClientConfiguration(nodes))
    try:
        yield Store(client, many)
    finally:
        await client.close()


_CLIENTS = {"ours": _ours, "redis-py": _redis_py, "coredis": _coredis, "glide": _glide}
