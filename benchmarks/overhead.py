"""What `Client` adds to the connections below it: `python -m benchmarks.overhead`.

Over a pool that answers at once: what is left is the Python of the client. What the pool itself
takes is subtracted; `make bench WORK=client` measures both together, beside peers.
"""

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import click

from benchmarks.result import about, said, spreads, tell
from megahertz import Breaker, Client, deadline
from megahertz.engine import Origin
from megahertz.govern import Retry, Upstream
from megahertz.govern.balance import Group, Instance

CALLS = 20_000
URL = "http://service/items/7?full=1"

Call = Callable[[], Awaitable[Any]]


class Answered:
    """An answer that is there already."""

    status, reason, http_version, body = 200, "OK", "HTTP/1.1", b"{}"
    headers = (("content-type", "application/json"), ("content-length", "2"))
    trailers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str | None:
        """Of no name that a client looks for."""
        return None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.body

    async def aclose(self) -> None:
        """Nothing is held."""


class AtOnce:
    """A pool without connections."""

    _answer: Any = Answered()

    async def send(self, *_: Any, **__: Any) -> Any:
        """The answer."""
        return self._answer

    async def warm(self, origin: Origin, connections: int = 1) -> None:
        """Nothing to open."""

    async def aclose(self) -> None:
        """Nothing to close."""

    def statistics(self) -> Any:
        """None."""
        return None


def calls() -> dict[str, Call]:
    """What is measured, by name; the first is the pool alone."""
    pool = AtOnce()
    client, numbers = Client("http://service", pool=pool), itertools.count()
    instances = [Instance(host="10.0.0.1", port=port) for port in (1, 2, 3)]
    governed = Client(
        "http://service", pool=pool, upstream=Upstream(Group("service", instances), retry=Retry())
    )
    guarded = Client(
        "http://service",
        pool=pool,
        upstream=Upstream(Group("service", instances), retry=Retry(), breaker=Breaker()),
    )

    async def within() -> None:
        with deadline(60):
            await client.get("/items/7")

    async def alone() -> None:
        with deadline(60):
            await pool.send()

    return {
        "pool": lambda: pool.send(Origin("http", "service", 80), "GET", "/", timeout=1.0),
        "deadline": alone,
        "get, a URL seen before": lambda: client.get(URL),
        "get, a URL that is new": lambda: client.get(f"/items/{next(numbers)}"),
        "get, within a deadline": within,
        "get, with params and headers": lambda: client.get(
            "/items", params={"page": 2}, headers={"x-user": "7"}
        ),
        "post of JSON": lambda: client.post("/items", json={"sku": 7}),
        "get of three instances, P2C, retries": lambda: governed.get("/items/7"),
        "the same, with a breaker each": lambda: guarded.get("/items/7"),
    }


async def microseconds(call: Call, count: int) -> float:
    """Of one call, one after the other."""
    began = time.perf_counter()
    for _ in range(count):
        await call()
    return (time.perf_counter() - began) / count * 1e6


async def measured(rounds: int, count: int) -> dict[str, Any]:
    """Every call in turn, less what is not the client's."""
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, call in calls().items():
            figures.setdefault(name, []).append(await microseconds(call, count))
    pool = statistics.median(figures.pop("pool"))
    within = statistics.median(figures.pop("deadline"))
    less = {"get, within a deadline": within}
    return spreads(
        {name: [it - less.get(name, pool) for it in its] for name, its in figures.items()}
    )


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    lines = ["| call | us of Python beside the pool's | least to most |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {it['median']:.1f} | {it['min']:.1f} to {it['max']:.1f} |"
        for name, it in found["calls"].items()
    ]
    how = (
        f"`python -m benchmarks.overhead`, {said(found)}, CPython {found['python']}; over a pool "
        f"that answers at once, medians of {found['rounds']} rounds of {found['count']:,} calls."
    )
    return [*lines, "", how]


@click.command()
@click.option("--rounds", default=7, show_default=True)
@click.option("--count", default=CALLS, show_default=True, help="Calls of each kind and round.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(rounds: int, count: int, keep: bool) -> None:
    """What the client adds to the connections below it."""
    found = about("overhead") | {"rounds": rounds, "count": count}
    found |= {"python": sys.version.split()[0], "calls": asyncio.run(measured(rounds, count))}
    tell(found, table(found), keep=keep)


if __name__ == "__main__":
    main()
