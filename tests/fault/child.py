"""The process that faults are injected into: a shop with one SKU, its orders written behind.

Reads commands from stdin, one JSON object a line, and answers on stdout, one line an event, each
written at once, so that what its reader has is what a client could have:

    {"put": [ids]}      all at once; {"ack": id} | {"refused": id} | {"unknown": id}
                        | {"soldout": id} | {"reused": id}, and {"done": true} after the last
    {"script": [[ids]]} each batch put and flushed before the next
    {"cancel": [ids]}   puts that are cancelled after their first step
    {"load": prefix}    puts without end, 16 at a time
    {"beat": seconds}   the longest time that the loop did not run, in that many seconds
    {"statistics": 1}   the counters
    {"flush": 1}        {"done": true} once the sink has everything
"""

import asyncio
import dataclasses
import json
import os
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from megahertz.backends import SQLiteSink
from megahertz.data import WriteBehind
from megahertz.errors import JournalFailed, KeyReused, Overloaded


class Order(msgspec.Struct, frozen=True):
    id: str
    sku: int = 1


class Stock:
    """The authority on what may still be sold: what is ordered holds a unit, once."""

    def __init__(self, units: int) -> None:
        self._units = units
        self._holders: set[str] = set()

    def rebuild(self, stored: Iterable[str], recovered: Iterable[Order]) -> None:
        self._holders = {*stored, *(order.id for order in recovered)}

    def reserve(self, order: str) -> bool:
        if order not in self._holders and len(self._holders) >= self._units:
            return False
        self._holders.add(order)
        return True

    def release(self, order: str) -> None:
        self._holders.discard(order)


def tell(**event: Any) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


class Shop:
    def __init__(self, orders: WriteBehind[Order], stock: Stock) -> None:
        self._orders, self._stock = orders, stock

    async def order(self, name: str, sku: str = "1") -> None:
        if not self._stock.reserve(name):
            return tell(soldout=name)
        try:
            await self._orders.put(Order(name, int(sku)))
        except Overloaded:
            self._stock.release(name)
            tell(refused=name)
        except JournalFailed as error:
            tell(unknown=name, why=str(error))
        except KeyReused:
            tell(reused=name)
        else:
            tell(ack=name)

    async def put(self, names: list[str]) -> None:
        await asyncio.gather(*(self.order(*each.split("#", 1)) for each in names))
        tell(done=True)

    async def script(self, batches: list[list[str]]) -> None:
        for names in batches:
            await self.put(names)
            await self._orders.flush()

    async def cancel(self, names: list[str]) -> None:
        puts = [asyncio.create_task(self._orders.put(Order(name))) for name in names]
        await asyncio.sleep(0)
        for put in puts:
            put.cancel()
        await asyncio.wait(puts)
        tell(done=True)

    async def load(self, prefix: str) -> None:
        async def buyer(number: int) -> None:
            count = 0
            while True:
                await self.order(f"{prefix}-{number}-{count}")
                count += 1
                await asyncio.sleep(0)

        await asyncio.gather(*(buyer(number) for number in range(16)))

    async def beat(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end, last, longest = loop.time() + seconds, loop.time(), 0.0
        while (now := loop.time()) < end:
            longest, last = max(longest, now - last), now
            await asyncio.sleep(0.002)
        tell(longest=longest)

    async def statistics(self, _: Any) -> None:
        tell(statistics=dataclasses.asdict(self._orders.statistics()))

    async def flush(self, _: Any) -> None:
        await self._orders.flush()
        tell(done=True)

    async def serve(self) -> None:
        loop, lines = asyncio.get_running_loop(), asyncio.StreamReader(limit=1 << 20)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        running = set()
        async for line in lines:
            for name, argument in json.loads(line).items():
                running.add(asyncio.create_task(getattr(self, name)(argument)))
        await asyncio.gather(*running)


def open_shop(
    home: Path, *, journal: str = "journal", **settings: Any
) -> tuple[WriteBehind[Order], Path]:
    """The write-behind as every test and every child opens it."""
    path = home / "shop.db"
    sink = SQLiteSink(path, "orders", type=Order, key="id")
    settings = {"linger": 0.0, "close_timeout": 30.0, "segment_bytes": 4096} | settings
    directory = home / journal
    return WriteBehind(directory, sink, type=Order, key=lambda it: it.id, **settings), path


def stored(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute("SELECT id FROM orders")]
    finally:
        connection.close()


async def main(home: Path, stock: int, settings: dict[str, Any]) -> None:
    orders, path = open_shop(home, **settings)
    async with orders:
        authority = Stock(stock)
        authority.rebuild(stored(path), orders.recovered)
        tell(ready=os.getpid())
        await Shop(orders, authority).serve()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])))
