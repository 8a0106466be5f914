"""What levels of a cache cost and find: `python -m benchmarks.tiers`.

Three questions. What a local hit through `@cached` costs, beside a dict look-up and beside a call
of a coroutine function that does nothing: that one is CPython's, and no cache can be below it.
How often, and how soon, 64 callers at once get what they ask for from two levels, by kind of local
level: a tenth of the keys fits, Redis is empty to begin with and on the other core, and the
"database" answers after a pause. Latencies are of a loop that is never idle, so most of what a
local hit takes there is waiting for its turn. And how long after a `delete` another worker still
holds the value.
"""

import asyncio
import gc
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from benchmarks.build import Missing
from benchmarks.hits import zipf
from benchmarks.result import about, said, spreads, tell
from benchmarks.store import store
from megahertz.backends import Redis
from megahertz.cache import ARC, LRU, Cached, Remote, Sharded, Tiers, cached

KEYS = 20_000
CAPACITY = KEYS // 10
CALLERS = 64
PAUSE = 0.005
"""Seconds of the database: a query by key over a network and a pool."""

DELETES = 1_000

LEVELS: dict[str, Callable[[], Any]] = {
    "LRU": lambda: LRU(CAPACITY),
    "LRU, 4 shards": lambda: Sharded(lambda: LRU(CAPACITY // 4), shards=4),
    "LRU, 16 shards": lambda: Sharded(lambda: LRU(CAPACITY // 16), shards=16),
    "ARC": lambda: ARC(CAPACITY),
    "ARC, 4 shards": lambda: Sharded(lambda: ARC(CAPACITY // 4), shards=4),
    "ARC, 16 shards": lambda: Sharded(lambda: ARC(CAPACITY // 16), shards=16),
}


def behind(local: Any) -> Cached[[int], int]:
    """A function whose answer for 7 is held."""

    @cached(3600, local=local)
    async def same(number: int) -> int:
        return number

    return same


async def awaited(function: Callable[[int], Any], calls: int) -> float:
    """Nanoseconds of `await function(7)`, the loop around it included."""
    await function(7)
    gc.collect()
    began = time.perf_counter_ns()
    for _ in itertools.repeat(None, calls):
        await function(7)
    return (time.perf_counter_ns() - began) / calls


def looked_up(calls: int) -> float:
    """Nanoseconds of a dict look-up in the same loop."""
    table = dict.fromkeys(range(1000), 0)
    began = time.perf_counter_ns()
    for _ in itertools.repeat(None, calls):
        table[7]
    return (time.perf_counter_ns() - began) / calls


async def nothing(number: int) -> int:
    """What any coroutine function costs."""
    return number


def costs(rounds: int, calls: int) -> dict[str, Any]:
    """Nanoseconds by what is called, all of them in each round."""
    functions: dict[str, Any] = {
        "a coroutine function that does nothing": nothing,
        "`@cached` over LRU": behind(LRU(1000)),
        "`@cached` over ARC": behind(ARC(1000)),
        "`@cached` over 16 shards": behind(Sharded(lambda: LRU(100), shards=16)),
    }
    found: dict[str, list[float]] = {"a dict look-up": []}
    for _ in range(rounds):
        found["a dict look-up"].append(looked_up(calls))
        for name, function in functions.items():
            found.setdefault(name, []).append(asyncio.run(awaited(function, calls)))
    return {name: spreads({"ns": of})["ns"] for name, of in found.items()}


async def asked(tiers: Tiers[int, int], keys: Iterator[int]) -> list[float]:
    """Seconds of each call of so many callers."""
    times: list[float] = []

    async def caller() -> None:
        for key in keys:
            began = time.perf_counter()
            if await tiers.get(key) != key:
                raise ValueError(f"{key} was answered with something else")
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return times


async def found_in(port: str, local: Any, requests: int) -> dict[str, float]:
    """Shares and times of one kind of local level, over a Redis that knows nothing yet."""

    async def load(key: int) -> int:
        await asyncio.sleep(PAUSE)
        return key

    async with Redis("127.0.0.1", int(port)) as redis, Remote(redis, timeout=5.0) as remote:
        await redis.flushall()
        await remote.hears()
        tiers = Tiers(load, 3600, name="n", type=int, local=local, remote=remote, loads=CALLERS)
        times = await asked(tiers, zipf(1.0, count=requests))
        counted = tiers.statistics()
    cuts = statistics.quantiles(times, n=1000)
    return {
        "local": counted.hits / requests,
        "redis": counted.shared / requests,
        "loaded": counted.loads / requests,
        "mean": statistics.fmean(times),
        "p50": cuts[499],
        "p99": cuts[989],
    }


async def held_on(port: str, times: int) -> dict[str, float]:
    """Seconds from the call of `delete` until another worker has forgotten, of so many."""

    async def load(key: int) -> int:
        return key

    async with (
        Redis("127.0.0.1", int(port)) as one,
        Redis("127.0.0.1", int(port)) as two,
        Remote(one) as here,
        Remote(two) as there,
    ):
        await asyncio.gather(here.hears(), there.hears())
        ours: Tiers[int, int] = Tiers(load, 3600, name="w", type=int, remote=here)
        theirs: Tiers[int, int] = Tiers(load, 3600, name="w", type=int, remote=there)
        found = []
        for key in range(times):
            await theirs.get(key)
            began = time.perf_counter()
            await ours.delete(key)
            while theirs.peek(key) is not None:  # noqa: ASYNC110
                await asyncio.sleep(0)
            found.append(time.perf_counter() - began)
    return {"p50": statistics.median(found), "most": max(found)}


def measure(rounds: int, calls: int, requests: int) -> dict[str, Any]:
    """All of it."""
    with store() as place:
        port = place["BENCH_REDIS"]
        window = asyncio.run(held_on(port, DELETES))
        rows = {
            name: asyncio.run(found_in(port, make(), requests)) for name, make in LEVELS.items()
        }
    return {
        **about("tiers"),
        "method": {
            "rounds": rounds,
            "calls": calls,
            "requests": requests,
            "keys": KEYS,
            "capacity": CAPACITY,
            "callers": CALLERS,
            "pause": PAUSE,
        },
        "python": sys.version.split()[0],
        "costs": costs(rounds, calls),
        "window": window,
        "rows": rows,
    }


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    return [*_costs(found), "", *_rows(found), "", _window(found), "", _how(found)]


def _window(found: Any) -> str:
    half, most = (found["window"][part] * 1e3 for part in ("p50", "most"))
    return (
        f"After {DELETES:,} calls of `delete`, another worker had forgotten {half:.2f} ms after "
        f"the call (median), {most:.2f} ms at most."
    )


def _costs(found: Any) -> list[str]:
    first, *_ = found["costs"].values()
    lines = ["| a local hit | ns | above a dict look-up |", "|---|---:|---:|"]
    for name, spread in found["costs"].items():
        above = spread["median"] - first["median"]
        lines.append(f"| {name} | {spread['median']:,.0f} | {above:,.0f} |")
    return lines


def _rows(found: Any) -> list[str]:
    lines = [
        "| local level | found locally | in Redis | loaded | mean | P50 | P99 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in found["rows"].items():
        shares = " | ".join(f"{row[part]:.1%}" for part in ("local", "redis", "loaded"))
        times = " | ".join(_spoken(row[part]) for part in ("mean", "p50", "p99"))
        lines.append(f"| {name} | {shares} | {times} |")
    return lines


def _spoken(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:,.1f} us"


def _how(found: Any) -> str:
    method = found["method"]
    return (
        f"`python -m benchmarks.tiers`, {said(found)}, Python {found['python']}; hits: medians of "
        f"{method['rounds']} rounds of {method['calls']:,} calls; levels: {method['requests']:,} "
        f"requests by {method['callers']} callers, Zipf 1.0 over {method['keys']:,} keys, "
        f"{method['capacity']:,} held locally, a database that takes "
        f"{method['pause'] * 1e3:g} ms."
    )


@click.command()
@click.option("--rounds", default=7, show_default=True)
@click.option("--calls", default=200_000, show_default=True, help="Of each row in each round.")
@click.option("--requests", default=200_000, show_default=True, help="Of each local level.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(rounds: int, calls: int, requests: int, keep: bool) -> None:
    """What levels of a cache cost and find."""
    try:
        found = measure(rounds, calls, requests)
    except Missing as error:
        raise click.ClickException(str(error)) from error
    tell(found, table(found), keep=keep)


if __name__ == "__main__":
    main()
