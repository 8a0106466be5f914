"""Instructions of each step of a request, without the kernel: `make bench WORK=micro`.

Theory: on a shared machine nanoseconds swing by more than most changes are worth; instructions
do not. valgrind counts those of user space alone (cachegrind, its cache model off), so a socket is
free and what remains is ours. Each step runs n and 2n times: the difference is n steps, start-up
and interpreter cancelled out. Two counts of one commit differ by less than 0.1 %.

Rejected: `perf stat`, whose counters virtual machines often lack; callgrind, the same count at
twice the time.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.build import ROOT, Missing, is_release, python_version, run, says, tool
from benchmarks.result import Found, about, newest, save

BUDGETS = Path(__file__).parent / "budgets.toml"
NOTABLE = 0.05
"""Changes from the last stored result above this share are flagged."""

VALGRIND = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]


@dataclass(frozen=True)
class Step:
    """A line of `budgets.toml`, which explains the fields."""

    name: str
    what: str
    times: int
    budget: int
    rust: tuple[str, ...] = ()
    python: str = ""
    less: str = ""


def steps(file: Path = BUDGETS) -> list[Step]:
    """All of the file, in its order."""
    found = tomllib.loads(file.read_text())
    return [
        Step(name, **{**fields, "rust": tuple(fields.get("rust", ()))})
        for name, fields in found.items()
    ]


def count(step: Step) -> float:
    """Instructions of one of it.

    Raises:
        Missing: no valgrind, no cargo, or the step does not run.
    """
    if step.rust:
        crate, example, *words = step.rust
        return _difference(lambda times: [_example(crate, example), *words, times], step.times)
    whole = _case(step.python, step.times)
    return whole - _case(step.less, step.times) if step.less else whole


@cache
def _case(name: str, times: int) -> float:
    program = [sys.executable, "-m", "benchmarks.steps", name]
    return _difference(lambda times: [*program, times], times)


def _difference(command: Callable[[str], list[str]], times: int) -> float:
    return (_refs(command(str(2 * times))) - _refs(command(str(times)))) / times


def _refs(command: list[str]) -> int:
    valgrind = tool("valgrind", "valgrind (Debian: apt-get install valgrind)")
    with TemporaryDirectory() as fresh:
        words = [word.replace("{fresh}", fresh) for word in command]
        done = subprocess.run(
            [valgrind, *VALGRIND, *words],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": "0"},
        )
    found = re.search(r"I +refs: +([\d,]+)", done.stderr)
    if done.returncode or not found:
        raise Missing(f"{' '.join(command)}: {done.stderr.strip()[-400:]}")
    return int(found[1].replace(",", ""))


@cache
def _example(crate: str, name: str) -> str:
    cargo = shutil.which("cargo") or tool(str(Path.home() / ".cargo/bin/cargo"), "cargo")
    manifest = str(ROOT / "rust/Cargo.toml")
    options = ["--quiet", "--release", "--manifest-path", manifest, "-p", crate]
    run(cargo, "build", *options, "--example", name)
    return str(ROOT / "rust/target/release/examples" / name)


def measure(console: Console) -> bool:
    """Counts, shows and saves; whether every step is within its budget."""
    before, counts = newest("micro"), {}
    with console.status("") as status:
        for step in steps():
            status.update(f"micro: {step.name}, {step.what}")
            counts[step.name] = round(count(step), 1)
    found = result(counts)
    console.print(table(found, before))
    said = save(found) if is_release() else "not saved: no release build of us (make install)"
    console.print(f"[dim]{said}")
    return all(counts[step.name] <= step.budget for step in steps())


def result(counts: Mapping[str, float]) -> dict[str, Any]:
    """Plain data, as the other results."""
    return {
        **about("micro"),
        "what": "instructions in user space of one step",
        "command": "make bench WORK=micro",
        "versions": {
            "rustc": says("rustc", "--version"),
            "valgrind": says("valgrind", "--version"),
            "python": python_version(),
        },
        "counts": dict(counts),
    }


def change(found: Found, before: Found | None, name: str) -> float | None:
    """The share by which a count has grown since `before`; None where that has none."""
    old = before["counts"].get(name) if before else None
    return found["counts"][name] / old - 1 if old else None


def table(found: Found, before: Found | None) -> Table:
    """For the terminal; what is above its budget, or has changed by more than 5 %, is marked."""
    drawn = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    last = f"since {before['commit']}" if before else "since the last"
    for name in ("step", "instructions", "budget", last):
        drawn.add_column(name, justify="left" if name == "step" else "right", no_wrap=True)
    for step in steps():
        value, grown = found["counts"][step.name], change(found, before, step.name)
        over = "red" if value > step.budget else "green"
        said = "" if grown is None else f"{grown:+.1%}"
        if grown is not None and abs(grown) > NOTABLE:
            said = f"[{'red' if grown > 0 else 'cyan'}]{said} !"
        drawn.add_row(step.name, f"[{over}]{value:,.0f}", f"{step.budget:,}", said)
    return drawn
