"""Results as if they had been measured: every work, every peer, figures from a fixed rule."""

from zlib import crc32

from benchmarks.result import spreads
from benchmarks.work import WORKS

MACHINE = {"cpu": "Some CPU", "cores": 2, "kernel": "6.1", "python": "3.11.7", "load": 0.5}


def sample(name, when="2026-01-02T03:04:05+00:00", **changed):
    """A result of that work; `changed` sets the CPU of peers, spaces in names as underscores."""
    work = WORKS[name]
    cpu = {peer.replace("_", " "): us for peer, us in changed.items()}
    points = {
        point.name: {peer: figures(work, point, peer, cpu) for peer in work.peers}
        for point in work.points
    }
    return {
        "work": name,
        "what": work.what,
        "when": when,
        "commit": "0123456789ab",
        "command": f"make bench WORK={name}",
        "machine": MACHINE,
        "versions": dict.fromkeys(work.peers, "version 1"),
        "method": {"generator": "wrk", "rounds": 3, "seconds": 1.0, "cores": "server on core 0"},
        "points": points,
        "missing": {},
    }


def figures(work, point, peer, cpu):
    """Three rounds; the figure hangs on the names alone."""
    us = cpu.get(peer) or 5 + crc32(f"{work.name} {point.name} {peer}".encode()) % 400 / 10
    if work.name == "idle":
        return spreads({"idle_cpu": [us / 1e6], "held_cpu": [us / 1e5], "bytes": [us * 100]})
    rounds = {"cpu_us": [us, us + 1, us - 1], "rps": [1e6 / us] * 3}
    return spreads(rounds | {"p99_us": [us * 30] * 3, "rss": [us * 1e6] * 3})
