"""What logging and tracing cost a request: `python -m benchmarks.logs`.

One handler logs three records a request, in each way in turn, into a file: written at once
(`logging.FileHandler`), batched by a thread (QueueHandler, MemoryHandler), ours sampled as it is
by default with an access log, ours with every record kept, and that with traces. `off` makes no
record at all. wrk asks on the other core, as fast as it is answered.

`--steps` counts nothing but the steps of one record, in this process.
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from timeit import timeit
from typing import Any

import click

from benchmarks.generator import load
from benchmarks.peer import Peer, mhz_run
from benchmarks.result import about, said, spreads, tell
from benchmarks.server import started
from benchmarks.work import Ask, Point
from megahertz.load import pair, pinned
from megahertz.observe import Logger, Logs, Sampling

APP = "benchmarks.peers.python.logged:app"
WAYS = {
    "off": "no logging",
    "synchronous": "written at once",
    "batched": "batched by a thread",
    "ours, by logging": "ours, sampled (INFO 0.1 %), access log, by `logging`",
    "ours": "the same by `Logger`",
    "ours, all": "ours, every record, access log, by `Logger`",
    "traced": "ours, sampled, by `Logger`, and 1 % of traces recorded",
    "traced, all": "ours, sampled, by `Logger`, and all traces recorded",
}
ASK = Ask("/items/7", answer={"sku": 7})
POINT = Point(64)


def once(way: str, file: Path, seconds: float) -> dict[str, float]:
    """One way: CPU, answers a second, p99."""
    peer = Peer(way, lambda: mhz_run(APP, "--log-level", "error"))
    cores = pair()
    with started(peer, {"LOGGED": way, "LOGGED_FILE": str(file)}) as server:
        server.verify([ASK])
        with pinned(cores[1] if cores else None):
            load(server.base, ASK, POINT, seconds / 4)
            before = server.usage().cpu
            seen = load(server.base, ASK, POINT, seconds)
            spent = server.usage().cpu - before
    file.unlink(missing_ok=True)
    return {
        "cpu_us": spent / seen.answers * 1e6,
        "rps": seen.answers / seen.seconds,
        "p99_us": seen.p99 * 1e6,
    }


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """All ways in turn, so many times."""
    figures: dict[str, dict[str, list[float]]] = {way: {} for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for way, of in figures.items():
                for name, value in once(way, Path(folder) / "log", seconds).items():
                    of.setdefault(name, []).append(value)
    return {
        **about("logs"),
        "method": {"rounds": rounds, "seconds": seconds},
        "ways": {way: spreads(of) for way, of in figures.items()},
    }


def table(found: Any) -> list[str]:
    """The result in Markdown, beside no logging at all."""
    lines = [
        "| three records a request | server CPU | | answers a second | | p99 | |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    base = {name: of["median"] for name, of in found["ways"]["off"].items()}
    for way, figures in found["ways"].items():
        cpu, rps, p99 = (figures[name]["median"] for name in ("cpu_us", "rps", "p99_us"))
        cells = [
            f"{cpu:,.1f} us",
            f"{cpu / base['cpu_us'] - 1:+.0%}",
            f"{rps:,.0f}",
            f"{rps / base['rps'] - 1:+.0%}",
            f"{p99 / 1e3:,.1f} ms",
            f"{(p99 - base['p99_us']) / 1e3:+,.1f} ms",
        ]
        lines.append(f"| {WAYS[way]} | {' | '.join(cells)} |")
    method = found["method"]
    how = (
        f"`python -m benchmarks.logs`, {said(found)}; wrk, {POINT.connections} connections; "
        f"medians of {method['rounds']} rounds in turn of {method['seconds']:g} s."
    )
    return [*lines, "", how]


def steps(times: int = 100_000) -> dict[str, float]:
    """Nanoseconds of the steps of one record, and of what `logging` does before them."""
    with open(os.devnull, "wb") as null:
        logs = Logs(Sampling.everything(), fd=null.fileno(), capacity=times)
        logger, ours = logging.Logger("steps", logging.INFO), Logger("steps")
        found = {"kept": _each(times, lambda: logs.write(logging.INFO, "a", fields={"sku": 7}))}
        began = time.perf_counter()
        logs.flush(60)
        found["written"] = (time.perf_counter() - began) / times * 1e9
        logs.sampling = Sampling(level="warning")
        with closing(logs):
            logs.open()
            found["dropped by sampling"] = _each(times, lambda: ours.info("a", sku=7))
        logs.sampling = Sampling.everything()
        logger.addHandler(logging.NullHandler())
        found["logging, to nobody"] = _each(times, lambda: logger.info("a"))
        logger.handlers[:] = [logs.handler]
        found["logging, to ours"] = _each(times, lambda: logger.info("a"))
    return found


def _each(times: int, call: Callable[[], object]) -> float:
    return timeit(call, number=times) / times * 1e9


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=2.0, show_default=True, help="Of each way in each round.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
@click.option("--steps", "alone", is_flag=True, help="The steps of one record, and no service.")
def main(rounds: int, seconds: float, keep: bool, alone: bool) -> None:
    """What logging and tracing cost a request, in each way."""
    if alone:
        for name, nanoseconds in steps().items():
            click.echo(f"{name:<20}{nanoseconds:8,.0f} ns")
        return
    found = measure(rounds, seconds)
    tell(found, table(found), keep=keep)


if __name__ == "__main__":
    main()
