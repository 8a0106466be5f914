"""One limit of four workers under ten times as much: `python -m benchmarks.machine_limit`.

`mhz run --workers 4` with a limit of 1,000 a second, asked 10,000 times a second (open loop). Half
way one worker is killed with SIGKILL. What passes is the answers that all workers have counted in
the plane.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.build import ROOT
from benchmarks.peer import Peer, imports, mhz_run
from benchmarks.result import about, said, save, spreads
from benchmarks.server import Server, started
from megahertz.engine import Plane, look
from megahertz.load import pair, pinned

RATE, TIMES, WORKERS, BURST = 1000, 10, 4, 20

APP = f"""
from megahertz import App, GCRA, Policy
app = App(policy=Policy(limit=GCRA({RATE}, burst={BURST})))

@app.get("/")
async def hello() -> dict[str, str]:
    return {{"msg": "ok"}}
"""


def passed(plane: Plane) -> int:
    """Answers below 400 so far, of all workers."""
    return sum(sum(classes[1:4]) for _, _, _, classes, *_ in plane.tallies())


def run(server: Server, seconds: float) -> dict[str, float]:
    """Answers a second before the kill, and after it."""
    core = pair()
    command = [sys.executable, "-m", "megahertz", "load", server.base, "--rate", str(RATE * TIMES)]
    command += ["-c", "256", "-d", str(2 * seconds + 4), "--warmup", "0"]
    with pinned(core[1] if core else None):
        load = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
    plane = look(server.pid)
    try:
        time.sleep(1.5)  # the first burst is over
        before = _rate(plane, seconds)
        os.kill(plane.owners()[0][1], signal.SIGKILL)
        after = _rate(plane, seconds)
    finally:
        load.terminate()
        load.wait()
    return {"before": before, "after": after}


def _rate(plane: Plane, seconds: float) -> float:
    began, first = time.monotonic(), passed(plane)
    time.sleep(seconds)
    return (passed(plane) - first) / (time.monotonic() - began)


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    lines = ["| part of the run | passed a second | least to most |", "|---|---:|---:|"]
    for name, what in (("before", "four workers"), ("after", "one of them killed and replaced")):
        rates = found["figures"][name]
        lines.append(
            f"| {what} | {rates['median']:,.1f} | {rates['min']:,.1f} to {rates['max']:,.1f} |"
        )
    how = (
        f"`python -m benchmarks.machine_limit`, {said(found)}; a limit of {RATE:,} a second with a "
        f"burst of {BURST}, {WORKERS} workers, {RATE * TIMES:,} requests a second; "
        f"{found['rounds']} rounds, {found['seconds']:g} s a part."
    )
    return [*lines, "", how]


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=3.0, show_default=True, help="Of each part.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(rounds: int, seconds: float, keep: bool) -> None:
    """What a limit of the machine lets pass."""
    with TemporaryDirectory() as folder:
        Path(folder, "limited_app.py").write_text(APP)
        command = mhz_run("limited_app:app", "--workers", str(WORKERS))
        peer = Peer("limited", lambda: command, imports(folder))
        runs = []
        for _ in range(rounds):
            with started(peer, {}) as server:
                runs.append(run(server, seconds))
                click.echo("  ".join(f"{name} {rate:,.1f}/s" for name, rate in runs[-1].items()))
    figures = spreads({name: [rates[name] for rates in runs] for name in runs[0]})
    found = about("machine-limit") | {"rounds": rounds, "seconds": seconds, "figures": figures}
    click.echo("\n".join(table(found)))
    worst = max(abs(rate / RATE - 1) for rates in runs for rate in rates.values())
    click.echo(f"worst {worst:.2%}, median {statistics.median(r['before'] for r in runs):,.1f}")
    if keep:
        click.echo(save(found))


if __name__ == "__main__":
    main()
