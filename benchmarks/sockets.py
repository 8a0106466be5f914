"""What idle WebSockets cost, alone, beside live traffic, and when all are sent a message.

Bytes are the growth of the workers' resident memory; the kernel's buffers are not in it. Live
traffic is an open loop of so many requests a second over 64 connections, in turn without the
sockets and beside them, on whichever core is free: a machine's own agents look through what is
open (a walk of /proc/*/fd over 128,000 descriptors is 0.1 s of one core), and workers bound to one
core have to wait for them there. The time of a broadcast is from the request for it to the last
octet at the last socket, the holders' work included: on the same machine they take their share of
it, so CPU is told apart by process.
"""

import json
import statistics
import time
from http.client import HTTPConnection
from typing import Any

import click

from benchmarks.build import is_release
from benchmarks.holders import MOST_HELD, Holders, held
from benchmarks.limits import raise_limits
from benchmarks.peer import Peer, mhz_run
from benchmarks.result import about, said, save
from benchmarks.schedule import scheduled
from benchmarks.server import Server, started

WARM = 1000
"""Sockets that come and go before memory is looked at: the buffers that all share are there."""

RATE = 2000
"""Live requests a second: a worker is a tenth busy with them."""

CASES = ("19000/1", "100000/6")
MILLION = ("1000000/56",)
"""Minutes and 12 GB: by itself, and not with each run."""


def bytes_each(server: Server, path: str, count: int) -> float:
    """Of resident memory, for each of so many idle sockets."""
    with held(server, path, min(WARM, count)):
        pass
    time.sleep(0.5)
    before = server.usage().rss
    with held(server, path, count):
        time.sleep(0.5)
        return (server.usage().rss - before) / count


def broadcast(server: Server, holders: Holders, size: int) -> tuple[float, float]:
    """Seconds until all have it, and of the workers' CPU."""
    octets = size + (2 if size < 126 else 4 if size < 65_536 else 10)
    holders.await_frame(octets)
    before, began = server.usage().cpu, time.monotonic()
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", f"/say/{size}")
    connection.getresponse().read()
    connection.close()
    last = holders.last()
    return last - began, server.usage().cpu - before


def live(server: Server) -> float:
    """P99 in seconds of 3 s of live traffic."""
    p99: float = scheduled(f"{server.base}/", RATE, 3.0)["latency"]["p99"]
    return p99


def command(workers: int, connections: int) -> list[str]:
    """The server: pings are off, since one a socket in 20 s is a cost of its own."""
    target = "benchmarks.peers.python.sockets:app"
    limits = ["--limit", f"connections={connections + 200}", "--limit", "ping_interval=0"]
    return mhz_run(target, "--workers", str(workers), *limits)


def measure(sockets: int, workers: int, size: int, rounds: int) -> dict[str, Any]:
    """One case: idle ones, then as many in one room."""
    raise_limits(min(sockets, MOST_HELD))
    peer = Peer("sockets", lambda: command(workers, sockets))
    found: dict[str, Any] = {"sockets": sockets, "workers": workers}
    with started(peer, {}) as server:
        found["bytes_idle"] = round(bytes_each(server, "/idle", sockets))
    without, beside, opening, grown, sent = [], [], [], [], []
    with started(peer, {}, pin=False) as server:
        for _ in range(rounds):
            without.append(live(server))
            before, began = server.usage().rss, time.monotonic()
            with held(server, "/all", sockets) as holders:
                opening.append(time.monotonic() - began)
                grown.append((server.usage().rss - before) / sockets)
                beside.append(live(server))
                sent.append(broadcast(server, holders, size))
    times, cpus = zip(*sent, strict=True)
    return found | {
        "p99_without": statistics.median(without),
        "p99_beside": statistics.median(beside),
        "open_seconds": round(statistics.median(opening), 1),
        # Of the first ones: the next find the room of those before them.
        "bytes_in_a_room": round(grown[0]),
        "message": size,
        "broadcast_seconds": round(statistics.median(times), 4),
        "broadcast_cpu": round(statistics.median(cpus), 4),
    }


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    lines = [
        "| sockets | workers | bytes an idle one | in a room | P99 of live traffic "
        "| beside them | a broadcast | its CPU |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for case in found["cases"]:
        without, beside = case["p99_without"], case["p99_beside"]
        lines.append(
            f"| {case['sockets']:,} | {case['workers']} | {case['bytes_idle']} "
            f"| {case['bytes_in_a_room']} | {without * 1e3:.2f} ms "
            f"| {beside * 1e3:.2f} ms (x {beside / without:.2f}) "
            f"| {case['broadcast_seconds']:.2f} s | {case['broadcast_cpu']:.2f} s |"
        )
    how = (
        f"`{found['command']}`, {said(found)}; live traffic: {RATE:,} requests/s; "
        f"medians of {found['rounds']} rounds. Workers, the generator and those who hold the "
        "sockets share the two cores."
    )
    return [*lines, "", how]


@click.command()
@click.option(
    "--case",
    "cases",
    multiple=True,
    default=CASES,
    show_default=True,
    metavar="SOCKETS/WORKERS",
)
@click.option("--size", default=100, show_default=True, help="Octets of the message.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(cases: tuple[str, ...], size: int, rounds: int, keep: bool) -> None:
    """Bytes an idle WebSocket, P99 of others beside them, time and CPU of a broadcast to all."""
    if keep and not is_release():
        raise click.ClickException("`make install` first: only a release build is saved")
    if keep and cases not in (CASES, MILLION):
        raise click.ClickException(f"only the cases by themselves and {MILLION[0]} are saved")
    measured = []
    for case in cases:
        sockets, _, workers = case.partition("/")
        measured.append(measure(int(sockets), int(workers or 1), size, rounds))
        click.echo(json.dumps(measured[-1]), err=True)
    named = "" if cases == CASES else "".join(f" --case {case}" for case in cases)
    found = {
        **about("million" if cases == MILLION else "sockets"),
        "command": f"python -m benchmarks.sockets{named}",
        "rounds": rounds,
        "cases": measured,
    }
    click.echo("\n".join(table(found)))
    if keep:
        click.echo(save(found))


if __name__ == "__main__":
    main()
