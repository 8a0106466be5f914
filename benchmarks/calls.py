"""What an outgoing call costs its caller: `make bench WORK=client`.

The floor (C) serves on one core, and each client in turn calls it on the other from so many tasks
or goroutines, one call after the other each; the CPU is that of the client's process. In each
round every client has a turn (A B C A B C); medians of the rounds are compared.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any

import click

from benchmarks.build import ROOT, go, go_version, python_version
from benchmarks.peer import FLOOR, peers
from benchmarks.result import about, said, spreads, tell
from benchmarks.server import started
from megahertz.load import pair, pinned

NAME = "client"
OURS = ("megahertz", "megahertz uvloop")
PEERS = ("httpx", "aiohttp", "net/http")
CALLERS = 64
ROUNDS, SECONDS = 7, 2.0
WARM = 0.3
"""Seconds before the first turn: connections are opened and code is warm."""

PROMISES = {"httpx": 0.2, "aiohttp": 0.5, "net/http": 1.2}
"""Our CPU a call over theirs, at most; on uvloop, as the Python ones are."""


class Client:
    """A process that calls when it is told to."""

    def __init__(self, name: str, port: int) -> None:
        program = "benchmarks.peers.python.calling"
        command = [sys.executable, "-m", program, name, str(port), str(CALLERS)]
        if name == "net/http":
            command = [go("calling"), str(port), str(CALLERS)]
        cores = pair()
        with pinned(cores[1] if cores else None):
            pipe = subprocess.PIPE
            environment = os.environ | {"GOMAXPROCS": "1"}
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment
            )

    def turn(self, seconds: float) -> tuple[float, float]:
        """Microseconds of CPU a call, and calls a second."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        return found["cpu"] / found["calls"] * 1e6, found["calls"] / seconds

    def close(self) -> None:
        """Its input ends, and so does it."""
        self._process.communicate(timeout=10)


@contextmanager
def running() -> Iterator[dict[str, Client]]:
    """The server, and all clients of it."""
    with ExitStack() as stack:
        server = stack.enter_context(started(peers()[FLOOR], {}))
        port = server.port
        clients = {name: Client(name, port) for name in (*OURS, *PEERS)}
        for client in clients.values():
            stack.callback(client.close)
        yield clients


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """Every client, in turn."""
    figures: dict[str, dict[str, list[float]]] = {}
    with running() as clients:
        for client in clients.values():
            client.turn(WARM)
        for _ in range(rounds):
            for name, client in clients.items():
                cpu, calls = client.turn(seconds)
                its = figures.setdefault(name, {"cpu_us": [], "calls": []})
                its["cpu_us"].append(cpu)
                its["calls"].append(calls)
    return {
        **about(NAME),
        "method": {"rounds": rounds, "seconds": seconds, "callers": CALLERS},
        "versions": {
            **{name: f"{name} {version(name)}" for name in ("httpx", "aiohttp")},
            **{"net/http": go_version(), "megahertz": python_version()},
        },
        "clients": {name: spreads(its) for name, its in figures.items()},
    }


def ratios(found: Any) -> dict[str, float]:
    """Ours over each peer's: on uvloop, as the Python ones are."""
    cpu = {name: its["cpu_us"]["median"] for name, its in found["clients"].items()}
    return {peer: cpu["megahertz uvloop"] / cpu[peer] for peer in PEERS}


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    lines = ["| client | µs of CPU a call | least to most | calls/s | ours over it |"]
    lines.append("|---|---:|---:|---:|---:|")
    against = ratios(found)
    for name, its in found["clients"].items():
        cpu, ratio = its["cpu_us"], against.get(name)
        lines.append(
            f"| {name} | {cpu['median']:.1f} | {cpu['min']:.1f} to {cpu['max']:.1f} | "
            f"{its['calls']['median']:,.0f} | {'' if ratio is None else f'{ratio:.2f}'} |"
        )
    method = found["method"]
    how = (
        f"`make bench WORK={NAME}`, {said(found)}; {', '.join(found['versions'].values())}; "
        f"{method['callers']} callers, medians of {method['rounds']} rounds of "
        f"{method['seconds']:g} s, the Python peers on uvloop; ours over it: on uvloop."
    )
    return [*lines, "", how]


def is_kept(found: Any) -> bool:
    """Whether all promises hold."""
    return all(ratios(found)[peer] <= most for peer, most in PROMISES.items())


def run(rounds: int | None, seconds: float | None, *, keep: bool) -> bool:
    """Measures, shows, and says whether the promises hold; medians of 5 at least are kept."""
    rounds, seconds = rounds or ROUNDS, seconds or SECONDS
    found = measure(rounds, seconds)
    tell(found, table(found), keep=keep and rounds >= 5 and seconds >= 1.0)
    return is_kept(found)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS)
@click.option("--seconds", type=float, default=SECONDS, help="Of each client in each round.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(rounds: int, seconds: float, keep: bool) -> None:
    """CPU of an outgoing call, here and elsewhere."""
    run(rounds, seconds, keep=keep)


if __name__ == "__main__":
    main()
