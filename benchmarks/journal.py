"""`python -m benchmarks.journal`: what one durable record costs on this disk."""

import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from megahertz.backends import SQLiteSink
from megahertz.data import WriteBehind


class Order(msgspec.Struct):
    """What the flash sale stores: some 20 bytes of msgpack."""

    id: str
    sku: int
    user: int


@dataclass(frozen=True)
class Measured:
    """What callers saw that put one record after the other.

    Attributes:
        rate: durable records a second.
        cpu_us: microseconds of CPU a record, threads of the process included.
        p50: seconds from the call to its return; `p99` likewise.
        group: records a sync.
    """

    rate: float
    cpu_us: float
    p50: float
    p99: float
    group: float


async def nowhere(batch: list[Order]) -> None:
    """A sink that costs nothing."""


async def drive(
    put: Callable[[Order], Awaitable[Any]], *, callers: int, seconds: float
) -> tuple[list[float], float, float]:
    """The duration of each put, the time they took together, and the CPU."""
    spent: list[float] = []
    clock, start, cpu = time.perf_counter, time.perf_counter(), time.process_time()

    async def caller(name: int) -> None:
        count = 0
        while (began := clock()) < start + seconds:
            await put(Order(f"{name}-{count}", 1, name))
            spent.append(clock() - began)
            count += 1

    await asyncio.gather(*(caller(number) for number in range(callers)))
    return spent, clock() - start, time.process_time() - cpu


async def measure(home: Path, sink: Any, *, callers: int, seconds: float) -> Measured:
    """One row: a journal of its own in front of `sink`."""
    async with AsyncExitStack() as stack:
        if sink is None:
            syncs, put = 0, yielding
        else:
            orders = WriteBehind(
                home, sink, type=Order, key=lambda it: it.id, capacity=1 << 20, close_timeout=60.0
            )
            await stack.enter_async_context(orders)
            put = orders.put
        spent, elapsed, cpu = await drive(put, callers=callers, seconds=seconds)
        if sink is not None:
            syncs = orders.statistics().syncs
    spent.sort()
    count = len(spent)
    return Measured(
        rate=count / elapsed,
        cpu_us=cpu / count * 1e6,
        p50=spent[count // 2],
        p99=spent[count * 99 // 100],
        group=count / syncs if syncs else 0.0,
    )


async def yielding(_: Order) -> None:
    """What the callers cost by themselves."""
    await asyncio.sleep(0)


async def rows(home: Path, seconds: float, told: Callable[[str, int, Measured], None]) -> None:
    """Every row, one after the other."""
    for callers in (1, 64, 400):
        path = home / str(callers)
        database = SQLiteSink(home / f"{callers}.db", "orders", type=Order, key="id")
        for name, sink in (("sleep(0)", None), ("journal", nowhere), ("+ SQLite", database)):
            measured = await measure(
                path.with_suffix(f".{name[-3:]}"), sink, callers=callers, seconds=seconds
            )
            told(name, callers, measured)


@click.command()
@click.option("--seconds", default=2.0, show_default=True, help="Of each row.")
@click.option("--directory", type=click.Path(file_okay=False), help="On the disk to measure.")
def main(seconds: float, directory: str | None) -> None:
    """Durable records a second, and what each costs.

    \b
    python -m benchmarks.journal --directory /var/lib/shop
    """
    table = Table(title=f"WriteBehind.put, {date.today()}, Python {platform.python_version()}")
    for name in ("sink", "callers", "records/s", "CPU us", "p50 ms", "p99 ms", "a sync"):
        table.add_column(name, justify="left" if name == "sink" else "right")

    def told(name: str, callers: int, row: Measured) -> None:
        cells = (f"{row.rate:,.0f}", f"{row.cpu_us:.1f}", f"{row.p50 * 1e3:.2f}")
        table.add_row(name, str(callers), *cells, f"{row.p99 * 1e3:.2f}", f"{row.group:.0f}")

    with tempfile.TemporaryDirectory(dir=directory, prefix="journal-") as home:
        asyncio.run(rows(Path(home), seconds, told))
    Console().print(table, f"{os.cpu_count()} cores, Linux {platform.release()}")


if __name__ == "__main__":
    main()
