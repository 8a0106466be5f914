"""How often caches find what they are asked for, by their size: `python -m benchmarks.curves`.

On generated traces, and on published ones where a folder with them is named: files with a key a
line, as the traces of Jiang and Zhang (LIRS, SIGMETRICS 2002) are in the simulator of Caffeine
(https://github.com/ben-manes/caffeine, simulator/src/main/resources/.../parser/lirs/*.trace.gz).
They are theirs, and not copied here. No time is measured.
"""

import gzip
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import click
from theine import Cache as Theine

from benchmarks.hits import BOUND, REQUESTS, hits, loop, most, scanned, theines, zipf
from benchmarks.plot import Curves, curves
from benchmarks.result import about, said, save
from megahertz.cache import ARC, LRU

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Capacities, of the keys that a trace has."""

GENERATED: dict[str, Callable[[], list[int]]] = {
    "Zipf 0.8": lambda: list(zipf(0.8)),
    "Zipf 1.0 with scans": lambda: list(islice(scanned(), REQUESTS)),
    "loop over 1,000 keys": lambda: list(loop(1000, 20_000)),
}

KINDS: dict[str, Callable[[list[int], int], int]] = {
    "LRU": lambda keys, size: hits(LRU(size), keys),
    "ARC": lambda keys, size: hits(ARC(size), keys),
    "W-TinyLFU (theine)": lambda keys, size: theines(Theine[int, int](size), keys),
    BOUND: most,
}


def published(folder: Path) -> dict[str, list[int]]:
    """Traces by the names of their files."""
    found = {}
    for file in sorted(folder.glob("*.trace*")):
        octets = file.read_bytes()
        text = gzip.decompress(octets) if file.suffix == ".gz" else octets
        keys = [int(line) for line in text.split() if line.isdigit()]
        found[f"{file.name.partition('.')[0]} (LIRS)"] = keys
    return found


def curve(keys: list[int]) -> dict[str, Any]:
    """Sizes, and the share of hits of each cache at them."""
    distinct = len(set(keys))
    sizes = sorted({max(2, round(share * distinct)) for share in SHARES})
    return {
        "requests": len(keys),
        "keys": distinct,
        "sizes": sizes,
        "hits": {
            kind: [run(keys, size) / len(keys) for size in sizes] for kind, run in KINDS.items()
        },
    }


def measure(traces: dict[str, list[int]]) -> dict[str, Any]:
    """All caches on all traces."""
    return {
        **about("curves"),
        "versions": {"theine": version("theine")},
        "python": sys.version.split()[0],
        "traces": {name: curve(keys) for name, keys in traces.items()},
    }


def picture(found: Any) -> str:
    """A panel a trace."""
    return curves(
        [
            Curves(
                f"{name}: hits by capacity, {row['requests']:,} requests of {row['keys']:,} keys",
                row["sizes"],
                {kind: [100 * share for share in shares] for kind, shares in row["hits"].items()},
            )
            for name, row in found["traces"].items()
        ]
    )


def table(found: Any) -> list[str]:
    """Where a tenth of the keys fits, in Markdown, and how that was found out."""
    lines = [f"| hits with a tenth of the keys | {' | '.join(KINDS)} |"]
    lines.append("|---|" + "---:|" * len(KINDS))
    for name, row in found["traces"].items():
        at = _tenth(row["sizes"], row["keys"])
        cells = " | ".join(f"{row['hits'][kind][at]:.1%}" for kind in KINDS)
        lines.append(f"| {name} | {cells} |")
    how = (
        f"`python -m benchmarks.curves`, {said(found)}, Python {found['python']}, theine "
        f"{found['versions']['theine']}; traces marked LIRS: Jiang and Zhang, SIGMETRICS 2002."
    )
    return [*lines, "", how]


def _tenth(sizes: Sequence[int], keys: int) -> int:
    return min(range(len(sizes)), key=lambda at: abs(sizes[at] - keys / 10))


@click.command()
@click.option(
    "--traces",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with published traces, *.trace or *.trace.gz.",
)
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(traces: Path | None, keep: bool) -> None:
    """Hit ratios of local caches by their size, on generated and published traces."""
    keys = {name: make() for name, make in GENERATED.items()}
    found = measure(keys | ({} if traces is None else published(traces)))
    click.echo("\n".join(table(found)))
    if keep:
        click.echo(save(found))


if __name__ == "__main__":
    main()
