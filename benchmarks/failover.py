"""How soon a cluster's clients are back at their full rate: `python -m benchmarks.failover`.

32 callers write and read keys of their own in a cluster of six, one after the other, while a
master is killed, handed over on purpose, or keeps everybody waiting for 5 s. The cluster itself is
watched beside that, by connections of its own: it is back once every node that is left says so,
and who has the victim's slots answers. What counts is the time from there until a quarter of a
second has 90 % of the answers that it had before. A reply of another key, or of what was never
written, ends the run.
"""

import asyncio
import itertools
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import click

from benchmarks.build import Missing
from benchmarks.result import about, said, tell
from benchmarks.store import cluster, told
from megahertz.backends import RedisCluster
from megahertz.errors import BackendError

CALLERS = 32
SLICE = 0.25
FULL = 0.9
BEFORE = 4.0
"""Seconds of the rate before the fault; those of the first quarter are left out."""
PATIENCE = 60.0
SETTINGS = ("--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0")


class Load:
    """Callers, how many answers each slice had, and what failed."""

    def __init__(self, redis: RedisCluster) -> None:
        self._redis, self._running = redis, True
        self.answers: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()

    async def call(self, number: int) -> None:
        """Writes a key and reads it, until told to stop.

        Raises:
            ValueError: a wrong answer.
        """
        key = f"caller:{number}"
        for turn in itertools.count(1):
            for command in (self._redis.set(key, f"{key}={turn}"), self._redis.get(key)):
                try:
                    answer = await command
                except BackendError as error:
                    self.failures[type(error).__name__] += 1
                    await asyncio.sleep(0)
                    continue
                self.answers[int(time.monotonic() / SLICE)] += 1
                if isinstance(answer, bytes):
                    name, _, written = answer.decode().partition("=")
                    if name != key or int(written) > turn:
                        raise ValueError(f"{key} was answered with {answer!r} in turn {turn}")
            if not self._running:
                return

    def stop(self) -> None:
        """After the turns that are under way."""
        self._running = False

    def rate(self, since: float, until: float) -> float:
        """The median of the slices that lie between."""
        slices = range(int(since / SLICE) + 1, int(until / SLICE))
        return statistics.median([self.answers[number] for number in slices] or [0]) / SLICE


def _kill(ports: list[int], victim: int) -> None:
    info = told(victim, "INFO", "server")
    pid = next(line for line in info.splitlines() if line.startswith("process_id:"))
    os.kill(int(pid.partition(":")[2]), signal.SIGKILL)


def _hand_over(ports: list[int], victim: int) -> None:
    replica = next(p for p in ports if f"master_port:{victim}\r" in told(p, "INFO", "replication"))
    told(replica, "CLUSTER", "FAILOVER")


def _pause(ports: list[int], victim: int) -> None:
    told(victim, "CLIENT", "PAUSE", "5000", "ALL")


FAULTS: dict[str, Callable[[list[int], int], None]] = {
    "a master handed over (CLUSTER FAILOVER)": _hand_over,
    "a master that pauses for 5 s (CLIENT PAUSE)": _pause,
    "a master killed (SIGKILL)": _kill,
}


def _is_back(ports: list[int], victim: int, kind: str) -> bool:
    """Whether the cluster, asked directly, has nothing wrong any more."""
    states = {port: told(port, "CLUSTER", "INFO") for port in ports}
    if "killed" in kind:
        del states[victim]
    if not all("cluster_state:ok" in state for state in states.values()):
        return False
    masters = [p for p in states if "role:master" in told(p, "INFO", "replication")]
    if "pauses" in kind:
        return told(victim, "DBSIZE").startswith(":")
    return len(masters) == 3 and victim not in masters


async def _until(holds: Callable[[], bool]) -> float:
    end = time.monotonic() + PATIENCE
    while not await asyncio.to_thread(holds):
        if time.monotonic() > end:
            raise Missing("the cluster did not come back")
        await asyncio.sleep(0.02)
    return time.monotonic()


async def _full(load: Load, before: float, since: float) -> float:
    """Seconds from `since` to the end of the first slice behind it that has the rate again."""
    for number in itertools.count(int(since / SLICE) + 1):
        end = (number + 1) * SLICE
        if end - since > PATIENCE:
            raise Missing("the rate did not come back")
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        if load.answers[number] / SLICE >= FULL * before:
            return end - since
    raise AssertionError


async def measured(port: int, kind: str) -> dict[str, Any]:
    """One fault."""
    rows = told(port, "CLUSTER", "NODES").splitlines()
    ports = [int(row.split()[1].split("@")[0].rpartition(":")[2]) for row in rows if "@" in row]
    # A replica that has not had its master's data yet can never take over from it.
    await _until(
        lambda: not any("link_status:down" in told(p, "INFO", "replication") for p in ports)
    )
    victim = next(p for p in ports if "role:master" in told(p, "INFO", "replication"))
    nodes = [("127.0.0.1", each) for each in ports]
    async with RedisCluster("127.0.0.1", port, nodes=nodes, timeout=1.0, patience=30.0) as redis:
        load = Load(redis)
        calls = asyncio.gather(*(load.call(number) for number in range(CALLERS)))
        began = time.monotonic()
        await asyncio.sleep(BEFORE)
        before = load.rate(began + BEFORE / 4, began + BEFORE)
        await asyncio.to_thread(FAULTS[kind], ports, victim)
        broken = time.monotonic()
        # Until it has begun, the cluster looks as well as ever.
        await asyncio.sleep(0.1)
        back = await _until(lambda: _is_back(ports, victim, kind))
        full = await _full(load, before, back)
        load.stop()
        await calls
    return {
        "rate": before,
        "cluster": back - broken,
        "full": full,
        "failures": dict(load.failures),
        "answers": load.answers.total(),
    }


async def _each(rounds: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in FAULTS}
    for kind in FAULTS:
        for _ in range(rounds):
            with cluster(*SETTINGS) as place:
                found[kind].append(await measured(int(place["BENCH_CLUSTER"]), kind))
    return found


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    lines = [
        "| fault | answers/s before | the cluster is back after | full rate after that | failed |",
        "|---|---:|---:|---:|---|",
    ]
    for kind, runs in found["faults"].items():
        worst = max(run["full"] for run in runs)
        median = statistics.median(run["full"] for run in runs)
        cluster_ = statistics.median(run["cluster"] for run in runs)
        rate = statistics.median(run["rate"] for run in runs)
        failed: Counter[str] = sum((Counter(run["failures"]) for run in runs), Counter())
        words = ", ".join(f"{count:,} {name}" for name, count in failed.items()) or "nothing"
        total = sum(run["answers"] for run in runs)
        lines.append(
            f"| {kind} | {rate:,.0f} | {cluster_:.2f} s | {median:.2f} s, at worst {worst:.2f} s "
            f"| {words} of {total:,} |"
        )
    how = (
        f"`python -m benchmarks.failover`, {said(found)}; {found['rounds']} rounds, a new cluster "
        f"each; {CALLERS} callers, cluster-node-timeout 2 s; full is {FULL:.0%} of the rate before "
        f"within {SLICE:g} s; no wrong answer."
    )
    return [*lines, "", how]


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(rounds: int, keep: bool) -> None:
    """How soon clients of a cluster are back at their full rate after a fault."""
    try:
        found = {**about("failover"), "rounds": rounds, "faults": asyncio.run(_each(rounds))}
    except Missing as error:
        raise click.ClickException(str(error)) from error
    tell(found, table(found), keep=keep)


if __name__ == "__main__":
    main()
