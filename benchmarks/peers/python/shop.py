"""What every Python application answers from: the same types, bytes and Redis."""

import os
from typing import Any

import msgspec

BLOB = bytes(range(256)) * 256
"""64 KiB."""


class Line(msgspec.Struct):
    """An article of an order."""

    sku: int
    name: str
    count: int
    price: float


class Order(msgspec.Struct):
    """Some 1 KiB of JSON, checked against these types on its way in, and encoded again."""

    id: int
    user: str
    paid: bool
    total: float
    note: str
    tags: list[str]
    lines: list[Line]


class Item(msgspec.Struct):
    """What the path and the query said."""

    sku: int
    full: bool
    limit: int


encode = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(Order).decode


def redis() -> Any:
    """redis-py's client, with hiredis, of the Redis that the benchmark started."""
    from redis.asyncio import Redis

    # Of its 100, those that clients of the last turn have left behind may be most.
    return Redis(port=int(os.environ.get("BENCH_REDIS", "6379")), max_connections=1000)
