"""More than a server can do, with and without load shedding: `python -m benchmarks.overload`.

One worker on its core; a handler of about two milliseconds of Python. First what it can do
(closed loop), then an open loop at 0.8, 2 and 10 times that, on both servers, in turn. Goodput is
answers of 200 a second, within the second that clients wait; the latency is theirs, from when each
was due. A fresh server for each
load: what waits in its sockets is gone with it.

A second part asks who is hurt: `live` requests at half of what it can do, with `batch` at five
times on other connections, and `live` without it.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.build import ROOT
from benchmarks.limits import raise_limits
from benchmarks.peer import Peer, imports, mhz_run
from benchmarks.plot import Bar, charts
from benchmarks.result import about, said, save, spreads
from benchmarks.server import started
from megahertz.load import pair, pinned

LOADS = (0.8, 2.0, 10.0)
"""Times what it can do."""
CONNECTIONS = 512
PATIENCE = 1.0
"""Seconds that a client waits for its answer."""
LIVE, BATCH = 0.5, 5.0

APP = """
from megahertz import App, Policy, Shed

def work() -> int:
    return sum(range(200_000))

def make(shed):
    app = App(policy=Policy(shed=shed))

    @app.get("/")
    async def live() -> int:
        return work()

    @app.get("/batch", policy=Policy(priority="batch"))
    async def batch() -> int:
        return work()

    return app

shedding, patient = make(Shed()), make(None)
"""

APPS = {"shedding": "overload_app:shedding", "without": "overload_app:patient"}

Figures = dict[str, float]


def peers(folder: str) -> dict[str, Peer]:
    """The two servers."""
    return {
        name: Peer(
            name,
            lambda app=app: mhz_run(app),
            imports(folder),
        )
        for name, app in (
            ("shedding", "overload_app:shedding"),
            ("without", "overload_app:patient"),
        )
    }


def load(url: str, *options: str) -> dict[str, Any]:
    """The report of `mhz load`; refusals and timeouts are what is looked for, not errors."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        command = [sys.executable, "-m", "megahertz", "load", url, *options, "--json", str(file)]
        command += ["--timeout", str(PATIENCE)]
        subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        found: dict[str, Any] = json.loads(file.read_text())
        return found


def figures(report: dict[str, Any]) -> Figures:
    """Goodput, refusals and what failed, each a second; and how long the good ones took."""
    seconds, statuses = report["seconds"], report["statuses"]
    good = statuses.get("200", 0)
    return {
        "goodput": good / seconds,
        "refused": (sum(statuses.values()) - good) / seconds,
        "failed": sum(report["failures"].values()) / seconds,
        "p50": report["successes"]["p50"],
        "p99": report["successes"]["p99"],
    }


def _core() -> int | None:
    cores = pair()
    return cores[1] if cores else None


def at_rate(peer: Peer, rate: float, seconds: float) -> Figures:
    """Of a fresh server."""
    with started(peer, {}) as server, pinned(_core()):
        options = ["--rate", str(int(rate)), "-c", str(CONNECTIONS), "-d", str(seconds)]
        return figures(load(server.base, *options, "--warmup", "1"))


def capacity(peer: Peer, seconds: float) -> float:
    """Answers a second of two connections, each after the previous answer."""
    with started(peer, {}) as server, pinned(_core()):
        return float(load(server.base, "-c", "2", "-d", str(seconds), "--warmup", "1")["qps"])


def live(peer: Peer, most: float, seconds: float, *, batch: bool) -> Figures:
    """Live requests, beside batch or alone."""
    with started(peer, {}) as server, pinned(_core()):
        other = None
        if batch:
            options = ["--rate", str(int(most * BATCH)), "-c", str(CONNECTIONS)]
            command = [sys.executable, "-m", "megahertz", "load", f"{server.base}/batch", *options]
            command += ["-d", str(seconds + 4)]
            other = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
        try:
            options = ["--rate", str(int(most * LIVE)), "-c", "64", "-d", str(seconds)]
            return figures(load(server.base, *options, "--warmup", "1.5"))
        finally:
            if other is not None:
                other.terminate()
                other.wait()


def measured(servers: dict[str, Peer], rounds: int, seconds: float) -> dict[str, Any]:
    """All of it: by server, load and figure, spreads of the rounds."""
    found: dict[str, dict[str, list[Figures]]] = {name: {} for name in servers}
    mosts = []

    def take(name: str, what: str, call: Callable[[], Figures]) -> None:
        figure = call()
        found[name].setdefault(what, []).append(figure)
        click.echo(
            f"  {name:9} {what:18} {figure['goodput']:6,.0f} good/s  "
            f"p99 {figure['p99'] * 1e3:9,.1f} ms  {figure['refused']:7,.0f} refused/s"
        )

    for number in range(rounds):
        mosts.append(capacity(servers["shedding"], seconds))
        most = statistics.median(mosts)
        click.echo(f"round {number + 1}: it can do {most:,.0f}/s")
        for times in LOADS:
            for name, peer in servers.items():
                take(name, f"x{times:g}", partial(at_rate, peer, most * times, seconds))
        for name, peer in servers.items():
            take(name, "live alone", partial(live, peer, most, seconds, batch=False))
            take(name, "live beside batch", partial(live, peer, most, seconds, batch=True))
    return {
        "capacity": spreads({"qps": mosts})["qps"],
        "servers": {
            name: {what: _spreads(rounds) for what, rounds in points.items()}
            for name, points in found.items()
        },
    }


def _spreads(rounds: list[Figures]) -> dict[str, Any]:
    return spreads({name: [figures[name] for figures in rounds] for name in rounds[0]})


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    most = found["capacity"]["median"]
    lines = [
        "| load | server | good answers of what it can | their P99 | refused a second |",
        "|---|---|---:|---:|---:|",
    ]
    for what in next(iter(found["servers"].values())):
        for name, points in found["servers"].items():
            point = points[what]
            good, refused = point["goodput"], point["refused"]
            lines.append(
                f"| {what} | {name} | {good['median'] / most:.0%} "
                f"({good['min'] / most:.0%} to {good['max'] / most:.0%}) "
                f"| {_waited(point)} | {refused['median']:,.0f} |"
            )
    how = (
        f"`python -m benchmarks.overload`, {said(found)}; it can do {most:,.0f} a second; medians "
        f"of {found['rounds']} rounds of {found['seconds']:g} s, open loop over {CONNECTIONS} "
        f"connections, clients wait {PATIENCE:g} s, latencies from when a request was due. Live "
        f"alone is x{LIVE:g} of what it can, batch beside it x{BATCH:g}."
    )
    return [*lines, "", how]


def _waited(point: Any) -> str:
    if not point["goodput"]["median"]:
        return "no answer in time"
    return f"{point['p99']['median'] * 1e3:,.1f} ms"


def picture(found: Any) -> str:
    """Goodput and P99 at each load, as SVG."""
    most = found["capacity"]["median"]
    goodput, waits = [], []
    for what in next(iter(found["servers"].values())):
        for name, points in found["servers"].items():
            ours, label = name == "shedding", f"{what}, {name}"
            good, p99 = points[what]["goodput"], points[what]["p99"]
            goodput.append(Bar(label, good, f"{good['median'] / most:.0%}", ours))
            waits.append(Bar(label, p99, _waited(points[what]), ours))
    return charts([("good answers, of what it can", goodput), ("P99 of the good ones", waits)])


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=4.0, show_default=True, help="Of each load.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(rounds: int, seconds: float, keep: bool) -> None:
    """What a server answers under more than it can do, with and without shedding."""
    raise_limits(2 * CONNECTIONS)
    with TemporaryDirectory() as folder:
        Path(folder, "overload_app.py").write_text(APP)
        found = about("overload") | {"rounds": rounds, "seconds": seconds}
        found |= measured(peers(folder), rounds, seconds)
    click.echo("\n".join(table(found)))
    if keep:
        click.echo(save(found))


if __name__ == "__main__":
    main()
