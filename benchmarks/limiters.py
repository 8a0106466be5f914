"""What a decision of a rate limiter costs, ours and others': `python -m benchmarks.limiters`.

Every call is admitted: one rate for all, and a rate for each of many clients that call in turn.
Time is that of a loop of decisions in one process, its own few nanoseconds included, on limiters
made new for each round; Litestar's and pyrate-limiter's keep what came before, so the first calls
are their cheapest. In the engine there is no Python at all: `rust/plane/examples/decisions.rs`.
"""

import asyncio
import gc
import itertools
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import click
import limits
import limits.storage
import limits.strategies
import pyrate_limiter
from litestar.middleware.rate_limit import RateLimitConfig, RateLimitMiddleware
from litestar.stores.memory import MemoryStore

from benchmarks.build import ROOT, Missing
from benchmarks.result import about, said, spreads, tell
from megahertz.govern import GCRA, LeakyBucket, Limiter, SlidingWindow, TokenBucket

MOST = 1000
"""Calls in a minute, of all together or of each client."""

CLIENTS = [f"10.0.{number // 256}.{number % 256}" for number in range(1000)]
TOGETHER = [CLIENTS[0]]
LIBRARIES = ("limits", "pyrate-limiter", "litestar")
MINUTE = 60

Decide = Callable[[str], bool] | Callable[[str], Awaitable[bool]]


def ours(law: type[Limiter], *, keyed: bool) -> Decide:
    """From Python, by `try_acquire`."""
    bursts = {} if law is SlidingWindow else {"burst": MOST}
    key: Any = (lambda client: client) if keyed else None
    acquire = law(MOST, MINUTE, key=key, scope="worker", **bursts).try_acquire
    if keyed:
        return lambda client: acquire(client) <= 0
    return lambda client: acquire() <= 0


def by_limits(strategy: str) -> Decide:
    """The library `limits`, as slowapi and Flask-Limiter use it."""
    kinds: Any = limits.strategies
    limiter = getattr(kinds, strategy)(limits.storage.MemoryStorage())
    rate = limits.RateLimitItemPerMinute(MOST)
    return lambda client: limiter.hit(rate, client)


class Buckets(pyrate_limiter.BucketFactory):
    """A bucket in memory for each name."""

    def __init__(self) -> None:
        self._clock = pyrate_limiter.MonotonicClock()
        self._buckets: dict[str, pyrate_limiter.InMemoryBucket] = {}

    def wrap_item(self, name: str, weight: int = 1) -> pyrate_limiter.RateItem:
        return pyrate_limiter.RateItem(name, self._clock.now(), weight=weight)

    def get(self, item: pyrate_limiter.RateItem) -> pyrate_limiter.InMemoryBucket:
        if item.name not in self._buckets:
            rate = pyrate_limiter.Rate(MOST, pyrate_limiter.Duration.MINUTE)
            self._buckets[item.name] = pyrate_limiter.InMemoryBucket([rate])
        return self._buckets[item.name]


def by_pyrate() -> Decide:
    """The library `pyrate-limiter`."""
    limiter = pyrate_limiter.Limiter(Buckets())
    return lambda client: bool(limiter.try_acquire(client, blocking=False))


def by_litestar() -> Decide:
    """What Litestar's middleware does for a request, without the request."""
    config = RateLimitConfig(rate_limit=("minute", MOST))
    middleware = RateLimitMiddleware(lambda *_: None, config)  # type: ignore[arg-type]
    store = MemoryStore()

    async def decide(client: str) -> bool:
        async with middleware._lock:
            found = await middleware.retrieve_cached_history(client, store)
            if len(found.history) >= middleware.max_requests:
                return False
            await middleware.set_cached_history(client, found, store)
            return True

    return decide


ROWS: dict[str, Callable[[bool], Decide]] = {
    "GCRA": lambda keyed: ours(GCRA, keyed=keyed),
    "TokenBucket": lambda keyed: ours(TokenBucket, keyed=keyed),
    "LeakyBucket": lambda keyed: ours(LeakyBucket, keyed=keyed),
    "SlidingWindow": lambda keyed: ours(SlidingWindow, keyed=keyed),
    "limits, fixed window": lambda keyed: by_limits("FixedWindowRateLimiter"),
    "limits, moving window": lambda keyed: by_limits("MovingWindowRateLimiter"),
    "limits, sliding counter": lambda keyed: by_limits("SlidingWindowCounterRateLimiter"),
    "pyrate-limiter": lambda keyed: by_pyrate(),
    "Litestar": lambda keyed: by_litestar(),
}

IN_ENGINE = {"gcra": "GCRA, in the engine", "leaky": "LeakyBucket, in the engine"} | {
    "window": "SlidingWindow, in the engine"
}


def nanoseconds(decide: Decide, clients: Sequence[str], calls: int) -> float:
    """Of a decision, on average; the first one, which makes what all need, is left out.

    Raises:
        ValueError: one was refused.
    """
    keys = list(itertools.islice(itertools.cycle(clients), calls))
    gc.collect()
    if asyncio.iscoroutinefunction(decide):
        admitted, spent = asyncio.run(_awaited(decide, keys))
    else:
        decide(keys[0])
        began = time.perf_counter_ns()
        admitted = all(map(decide, keys))
        spent = time.perf_counter_ns() - began
    if not admitted:
        raise ValueError("a call was refused: that is another path")
    return spent / calls


async def _awaited(decide: Callable[[str], Awaitable[bool]], keys: list[str]) -> tuple[bool, int]:
    await decide(keys[0])
    began = time.perf_counter_ns()
    admitted = all([await decide(key) for key in keys])
    return admitted, time.perf_counter_ns() - began


def in_engine(calls: int) -> Iterator[tuple[str, float, float]]:
    """Row, and nanoseconds together and by client.

    Raises:
        Missing: there is no cargo, or it failed.
    """
    command = ["cargo", "run", "--quiet", "--release", "-p", "plane", "--example", "decisions"]
    command += ["--", str(calls), str(len(CLIENTS))]
    try:
        run = subprocess.run(command, cwd=ROOT / "rust", capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise Missing("cargo, for the decisions in the engine") from error
    except subprocess.CalledProcessError as error:
        raise Missing(f"{' '.join(command)}: {error.stderr}") from error
    for line in run.stdout.splitlines():
        law, together, apart = line.split()
        yield IN_ENGINE[law], float(together), float(apart)


def measure(count: int, calls: int) -> dict[str, Any]:
    """All rows in turn, so many times; of each client there are `calls` / clients."""
    figures: dict[str, dict[str, list[float]]] = {}

    def note(row: str, together: float, apart: float) -> None:
        of = figures.setdefault(row, {"together_ns": [], "apart_ns": []})
        of["together_ns"].append(together)
        of["apart_ns"].append(apart)

    for _ in range(count):
        for row in in_engine(calls * 40):  # a window counts to 4,194,303
            note(*row)
        for what, make in ROWS.items():
            together = nanoseconds(make(False), TOGETHER, min(calls, MOST - 1))
            note(what, together, nanoseconds(make(True), CLIENTS, calls))
    return {
        **about("limiters"),
        "versions": {name: version(name) for name in LIBRARIES},
        "method": {"rounds": count, "calls": calls, "most": MOST, "clients": len(CLIENTS)},
        "python": sys.version.split()[0],
        "rows": {what: spreads(of) for what, of in figures.items()},
    }


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    lines = ["| a decision by | one rate for all | a rate for each client |", "|---|---:|---:|"]
    for what, figures in found["rows"].items():
        together, apart = (figures[name]["median"] for name in ("together_ns", "apart_ns"))
        lines.append(f"| {what} | {together:,.0f} ns | {apart:,.0f} ns |")
    method, versions = found["method"], found["versions"]
    how = (
        f"`python -m benchmarks.limiters`, {said(found)}, Python {found['python']}; medians of "
        f"{method['rounds']} rounds; at most {method['most']:,} calls a minute, all admitted, "
        f"{method['calls']:,} of {method['clients']:,} clients in turn; stores in memory; "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + "."
    )
    return [*lines, "", how]


@click.command()
@click.option("--rounds", "count", default=5, show_default=True)
@click.option("--calls", default=100_000, show_default=True, help="Of each row in each round.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(count: int, calls: int, keep: bool) -> None:
    """Nanoseconds of a rate limiter's decision, ours and others'."""
    try:
        found = measure(count, calls)
    except Missing as error:
        raise click.ClickException(str(error)) from error
    tell(found, table(found), keep=keep)


if __name__ == "__main__":
    main()
