"""How often caches find what they are asked for: `python -m benchmarks.hits`.

Keys come from generators with a fixed seed; each is asked for, and set where it was not found. No
time is measured, so that a busy machine gives the same; only theine's differ from run to run, by
half a point. The bound is Belady's: of the keys that are kept and the new one, that goes which is
asked for again last (A study of replacement algorithms for a virtual-storage computer, IBM Systems
Journal 5:2, 1966); nobody can know that who serves.
"""

import heapq
import itertools
import random
import sys
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import click
from theine import Cache as Theine

from benchmarks.result import about, said, save
from megahertz.cache import ARC, LRU, Cache, Sharded

REQUESTS = 200_000
CAPACITY = 1_000
KEYS = 20 * CAPACITY
SEED = 20_261_121
SCANNED = 1 << 32
"""Above this no key comes twice."""


def zipf(skew: float, seed: int = SEED, count: int = REQUESTS) -> Iterator[int]:
    """The key of rank r with a probability as 1 / r ** skew."""
    weights = itertools.accumulate(1 / rank**skew for rank in range(1, KEYS + 1))
    steps, draw = list(weights), random.Random(seed)
    return (bisect(steps, draw.random() * steps[-1]) for _ in range(count))


def loop(width: int, count: int = REQUESTS) -> Iterator[int]:
    """The same keys round and round."""
    return (number % width for number in range(count))


def scan(count: int, first: int = SCANNED) -> Iterator[int]:
    """Each key once."""
    return iter(range(first, first + count))


def scanned() -> Iterator[int]:
    """Popular keys, and after each 10,000 of them 5,000 that nobody asks for again."""
    popular, first = zipf(1.0), SCANNED
    for _ in range(REQUESTS // 15_000 + 1):
        yield from itertools.islice(popular, 10_000)
        yield from scan(5_000, first)
        first += 5_000


def mixed() -> Iterator[int]:
    """Popular keys, others popular, a loop, a scan, and again: what is best changes."""
    for turn in itertools.count():
        yield from zipf(1.0, SEED + turn, 20_000)
        yield from (KEYS - key for key in zipf(0.8, SEED + turn, 10_000))
        yield from loop(CAPACITY * 3 // 2, 10_000)
        yield from scan(10_000, SCANNED + turn * 10_000)


TRACES: dict[str, Callable[[], Iterator[int]]] = {
    "Zipf 0.8": lambda: zipf(0.8),
    "Zipf 1.0": lambda: zipf(1.0),
    "Zipf 1.0 with scans": scanned,
    "loop of 1.5 x capacity": lambda: loop(CAPACITY * 3 // 2),
    "mixed": mixed,
}

KINDS: dict[str, Callable[[], Any]] = {
    "LRU": lambda: LRU(CAPACITY),
    "LRU, 4 shards": lambda: sharded(LRU, 4),
    "LRU, 16 shards": lambda: sharded(LRU, 16),
    "ARC": lambda: ARC(CAPACITY),
    "ARC, 4 shards": lambda: sharded(ARC, 4),
    "ARC, 16 shards": lambda: sharded(ARC, 16),
    "theine (W-TinyLFU)": lambda: Theine[int, int](CAPACITY),
}
BOUND = "Belady's bound"


def sharded(kind: Callable[[int], Cache[int, int]], shards: int) -> Sharded[int, int]:
    """With as many entries in all; the part that does not divide is left out."""
    return Sharded(lambda: kind(CAPACITY // shards), shards=shards)


def hits(cache: Any, keys: Sequence[int]) -> int:
    """Of the keys in turn."""
    found = 0
    for key in keys:
        value = cache.get(key)
        if value is None:
            cache.set(key, key)
        elif value == key:
            found += 1
        else:
            raise ValueError(f"{key} was answered with {value}")
    return found


def theines(cache: Any, keys: Sequence[int]) -> int:
    """Theine's `get` gives the value and whether there was one."""
    found = 0
    for key in keys:
        if cache.get(key)[1]:
            found += 1
        else:
            cache.set(key, key)
    cache.close()
    return found


def most(keys: Sequence[int], capacity: int) -> int:
    """Hits that any cache of that capacity can have, by Belady's rule."""
    never = len(keys)
    later, seen = [never] * len(keys), dict[int, int]()
    for index in range(len(keys) - 1, -1, -1):
        later[index] = seen.get(keys[index], never)
        seen[keys[index]] = index
    kept, last, found = dict[int, int](), list[tuple[int, int]](), 0
    for key, after in zip(keys, later, strict=True):
        found += key in kept
        kept[key] = after
        heapq.heappush(last, (-after, key))
        while len(kept) > capacity:
            end, other = heapq.heappop(last)
            if kept.get(other) == -end:  # else it was asked for since
                del kept[other]
    return found


def measure() -> dict[str, Any]:
    """Every cache on every trace."""
    rows: dict[str, dict[str, float]] = {}
    for name, make in TRACES.items():
        keys = list(itertools.islice(make(), REQUESTS))
        for kind, cache in KINDS.items():
            run = theines if "theine" in kind else hits
            rows.setdefault(kind, {})[name] = run(cache(), keys) / len(keys)
        rows.setdefault(BOUND, {})[name] = most(keys, CAPACITY) / len(keys)
    return {
        **about("hits"),
        "versions": {"theine": version("theine")},
        "method": {"requests": REQUESTS, "capacity": CAPACITY, "keys": KEYS, "seed": SEED},
        "python": sys.version.split()[0],
        "rows": rows,
    }


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    rows, method = found["rows"], found["method"]
    traces = list(rows[BOUND])
    lines = [f"| hits of | {' | '.join(traces)} |", "|---|" + "---:|" * len(traces)]
    for kind, shares in rows.items():
        cells = " | ".join(f"{shares[name]:.1%}" for name in traces)
        lines.append(f"| {kind} | {cells} |")
    how = (
        f"`python -m benchmarks.hits`, {said(found)}, Python {found['python']}, theine "
        f"{found['versions']['theine']}; {method['requests']:,} requests each, capacity "
        f"{method['capacity']:,}, Zipf over {method['keys']:,} keys, seed {method['seed']}."
    )
    return [*lines, "", how]


@click.command()
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(keep: bool) -> None:
    """Hit ratios of local caches on generated traces."""
    found = measure()
    click.echo("\n".join(table(found)))
    if keep:
        click.echo(save(found))


if __name__ == "__main__":
    main()
