"""What was measured, where and with what: the file under `results/` and the table of it."""

import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.method import Measured
from benchmarks.peer import Peer
from megahertz.load import machine

FOLDER = Path(__file__).parent / "results"

BOUNDS = {("megahertz", "floor"): 1.4, ("megahertz", "fasthttp"): 1.0}
"""What the project promises for this load: ours over theirs, at most (issue 3)."""

PAIRS = [
    (ours, theirs) for ours in ("megahertz", "megahertz uvloop") for theirs in ("floor", "fasthttp")
]


def result(
    peers: Sequence[Peer], measured: Mapping[str, Measured], **method: Any
) -> dict[str, Any]:
    """Plain data with everything that somebody else needs to repeat it."""
    load = round(os.getloadavg()[0], 2)  # above 2 on two cores: somebody else was at work
    return {
        "what": "GET / -> JSON of 12 bytes, keep-alive, closed loop",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": machine() | {"load": load},
        "versions": {peer.name: peer.version() for peer in peers if peer.name in measured},
        "method": method,
        "peers": {name: _summary(rounds) for name, rounds in measured.items()},
        "ratios": _ratios(measured),
    }


def _summary(rounds: Measured) -> dict[str, Any]:
    return {"cpu_us": _spread(rounds.cpu_us), "rps": _spread(rounds.rps), "rss": rounds.rss}


def _spread(values: list[float]) -> dict[str, Any]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "rounds": [round(value, 3) for value in values],
    }


def _ratios(measured: Mapping[str, Measured]) -> dict[str, float]:
    medians = {name: statistics.median(rounds.cpu_us) for name, rounds in measured.items()}
    return {
        f"{ours}/{theirs}": round(medians[ours] / medians[theirs], 3)
        for ours, theirs in PAIRS
        if ours in medians and theirs in medians
    }


def broken(found: Mapping[str, Any]) -> list[str]:
    """Promises that this run does not keep, a peer that is missing among them."""
    said = []
    for (ours, theirs), bound in BOUNDS.items():
        ratio = found["ratios"].get(f"{ours}/{theirs}")
        if ratio is None or ratio > bound:
            said.append(f"{ours}/{theirs} is {ratio}, promised at most {bound}")
    return said


def save(found: Mapping[str, Any]) -> Path:
    """Writes it under its time."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"hello-{found['when'][:19].replace(':', '')}.json"
    file.write_text(json.dumps(found, indent=2) + "\n")
    return file


def show(found: Mapping[str, Any], console: Console) -> None:
    """The table and the ratios."""
    method, place = found["method"], found["machine"]
    console.print(
        f"{found['what']}; {method['connections']} connections from {method['generator']}, "
        f"{method['rounds']} rounds of {method['seconds']:g} s, interleaved; {method['cores']}\n"
        f"{place['cpu']}, {place['cores']} cores, Linux {place['kernel']}, "
        f"commit {found['commit']}, {found['when']}"
    )
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column("server", style="bold", no_wrap=True)
    for name in ("CPU us", r"\[min-max]", "requests/s", r"\[min-max]", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, peer in found["peers"].items():
        cpu, rps = peer["cpu_us"], peer["rps"]
        table.add_row(
            name,
            f"{cpu['median']:.2f}",
            f"{cpu['min']:.2f}-{cpu['max']:.2f}",
            f"{rps['median']:,.0f}",
            f"{rps['min']:,.0f}-{rps['max']:,.0f}",
            f"{peer['rss'] / 1e6:.0f}",
        )
    console.print(table)
    console.print("[dim]CPU us: of the server, a request; median of the rounds")
    for pair, ratio in found["ratios"].items():
        bound = BOUNDS.get((pair.partition("/")[0], pair.partition("/")[2]))
        console.print(f"{pair}: {ratio:.2f}" + (f" (promised at most {bound})" if bound else ""))


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER.parent)
    return done.stdout.strip() or "unknown"
