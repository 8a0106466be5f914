"""Two servers and one limit over Redis, which is killed and comes back: `python -m
benchmarks.redis_limits`.

Each server is called at five times the whole limit, so that all that may pass does. Redis is
killed with its connections open, and started again empty.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from benchmarks.build import ROOT, Missing, tool
from benchmarks.caller import BURST, INSTANCES
from benchmarks.result import about, said, tell
from benchmarks.server import free_port

WARM = 1.5
"""Seconds for the servers to start, and for the first burst to be over."""

READY = "eady to accept connections"


@dataclass(frozen=True)
class Course:
    """The moments of a run, in seconds from its begin.

    Attributes:
        killed: when Redis was.
        ready: when it answered again.
        end: of all calls.
    """

    killed: float
    ready: float
    end: float


class Store:
    """A Redis that can be killed."""

    def __init__(self) -> None:
        self._program = tool("redis-server", "redis-server (Debian: apt-get install redis-server)")
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Returns once it answers."""
        command = [self._program, "--port", str(self._port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if not any(READY in line for line in self._process.stdout):
            raise Missing("redis-server ended before it was ready")

    def kill(self) -> None:
        """Without a word to anybody."""
        self._process.kill()
        self._process.communicate()


def run(rate: float, seconds: float) -> tuple[Course, list[dict[str, Any]]]:
    """So many seconds with Redis, without it, and with it again."""
    store = Store()
    try:
        begin, end = time.monotonic() + 1.0, WARM + 3 * seconds + WARM
        numbers = [store.url, rate, 5 * rate, begin, end]
        command = [sys.executable, "-m", "benchmarks.caller", *map(str, numbers)]
        pipe = subprocess.PIPE
        servers = [
            subprocess.Popen(command, cwd=ROOT, stdout=pipe, text=True) for _ in range(INSTANCES)
        ]
        time.sleep(max(0.0, begin + WARM + seconds - time.monotonic()))
        store.kill()
        killed = time.monotonic() - begin
        time.sleep(seconds)
        store.start()
        ready = time.monotonic() - begin
        told = [json.loads(server.communicate(timeout=60)[0]) for server in servers]
        return Course(killed, ready, end), told
    finally:
        store.kill()


def judged(course: Course, told: Sequence[Mapping[str, Any]], rate: float) -> dict[str, Any]:
    """Calls that passed a second in each part, and how long it took to notice."""
    passed = [0] * int(course.end * 10 + 1)
    for server in told:
        for tenth, calls in server["passed"].items():
            passed[min(int(tenth), len(passed) - 1)] += calls
    absences = [away for server in told for away in server["absences"]]

    def between(begin: float, end: float) -> tuple[int, float]:
        first, last = int(begin * 10 + 1), int(end * 10)
        return sum(passed[first:last]), (last - first) / 10

    with_redis, span = between(WARM, course.killed)
    alone, alone_span = between(course.killed, course.ready)
    again, again_span = between(course.ready + WARM, course.end)
    share = -(-BURST // INSTANCES)
    return {
        "with_redis": with_redis / span,
        "alone": alone / alone_span,
        "alone_most": (rate * alone_span + INSTANCES * share) / alone_span,
        "again": again / again_span,
        "noticed": max((begin for begin, _ in absences), default=course.end) - course.killed,
        "recovered": max((end for _, end in absences), default=course.end) - course.ready,
        "absences": [len(server["absences"]) for server in told],
        "calls": sum(server["made"] for server in told) / course.end,
        "slowest": max(server["slowest"] for server in told),
    }


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    figures, rate = found["figures"], found["method"]["rate"]
    rows = [
        ("with Redis", figures["with_redis"], f"{rate:,.0f}"),
        ("Redis killed, each server on its own", figures["alone"], f"{figures['alone_most']:,.0f}"),
        ("Redis back", figures["again"], f"{rate:,.0f}"),
    ]
    lines = ["| part of the run | passed a second | the law's most |", "|---|---:|---:|"]
    lines += [f"| {what} | {passed:,.1f} | {most} |" for what, passed, most in rows]
    return [
        *lines,
        "",
        f"Both servers noticed within {figures['noticed'] * 1e3:,.0f} ms that Redis was gone, and "
        f"asked it again {figures['recovered'] * 1e3:,.0f} ms after it answered; the slowest "
        f"decision took {figures['slowest'] * 1e3:,.0f} ms.",
        "",
        f"`python -m benchmarks.redis_limits`, {said(found)}; {INSTANCES} servers, one limit of "
        f"{rate:,.0f} a second, {figures['calls']:,.0f} calls a second, "
        f"{found['method']['seconds']:g} s a part.",
    ]


@click.command()
@click.option("--rate", default=1000.0, show_default=True, help="Calls a second, of both servers.")
@click.option("--seconds", default=5.0, show_default=True, help="Of each part.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(rate: float, seconds: float, keep: bool) -> None:
    """One limit of two servers over a Redis that is killed and comes back."""
    try:
        course, told = run(rate, seconds)
    except Missing as error:
        raise click.ClickException(str(error)) from error
    method = {"rate": rate, "seconds": seconds}
    figures = judged(course, told, rate)
    found = {**about("redis-limits"), "method": method, "figures": figures}
    tell(found, table(found), keep=keep)


if __name__ == "__main__":
    main()
