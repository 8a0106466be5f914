"""The processors this process may use, and which of them each worker is bound to."""

import math
import os
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path

CPUS = "MEGAHERTZ_CPUS"

_CGROUPS = Path("/sys/fs/cgroup")
_NODES = Path("/sys/devices/system/node")


def usable(affinity: Sequence[int] | None = None, quota: float | None = None) -> int:
    """How many workers keep the machine busy: the lesser of affinity and quota, at least 1.

    A part of a processor counts as a whole one, as in Go 1.25's GOMAXPROCS.

    Args:
        affinity: processors we may run on; None asks the kernel (sched_getaffinity(2)).
        quota: processors' worth of time we may use; None asks our control group.
    """
    count = len(affinity if affinity is not None else os.sched_getaffinity(0))
    share = quota if quota is not None else cgroup_quota()
    return max(1, math.ceil(min(count, share)))


def share(workers: int, quota: float | None = None) -> float:
    """The part of one processor's time that each of so many workers may use, at most 1.0.

    Args:
        workers: that share the quota.
        quota: processors' worth of time that we may use; None asks our control group.
    """
    return min(1.0, (cgroup_quota() if quota is None else quota) / workers)


def cgroup_quota(root: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> float:
    """Processors' worth of time that our control group and those above it leave us.

    Args:
        root: where the groups are mounted.
        own: which one is ours (cgroups(7): `0::/path` is version 2, `2:cpu,cpuacct:/path` version
            1). In a container the path may be that of the host; what is not there does not count.
    """
    found = math.inf
    for line in _lines(own):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for group in _upwards(root, path):
                found = min(found, _ratio(" ".join(_lines(group / "cpu.max"))))
        elif "cpu" in controllers.split(","):
            for group in _upwards(root / "cpu", path):
                pair = _lines(group / "cpu.cfs_quota_us") + _lines(group / "cpu.cfs_period_us")
                found = min(found, _ratio(" ".join(pair)))
    return found


def _upwards(root: Path, path: str) -> list[Path]:
    parts = [part for part in path.split("/") if part and part != ".."]
    return [root.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]


def _ratio(text: str) -> float:
    """Of `quota period`, in microseconds; no limit is `max` or -1."""
    quota, _, period = text.partition(" ")
    if not period or quota in ("max", "-1"):
        return math.inf
    return int(quota) / int(period)


def nodes(root: Path = _NODES) -> list[list[int]]:
    """The processors of each memory node that we may run on; one node where there is no telling."""
    allowed = os.sched_getaffinity(0)
    listed = [_parse("".join(_lines(node / "cpulist"))) for node in sorted(root.glob("node[0-9]*"))]
    usable = [sorted(allowed.intersection(node)) for node in listed]
    return [node for node in usable if node] or [sorted(allowed)]


def bindings(count: int, how: str, groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """The processors of each of `count` workers, which are spread over the nodes.

    Args:
        count: of workers.
        how: "core": one each, and the next round begins where all have one; "node": those of one
            memory node, so that what a worker allocates stays near; "no": nothing.
        groups: of `nodes`.
    """
    if how == "node" and len(groups) > 1:
        return [list(groups[index % len(groups)]) for index in range(count)]
    if how == "core":
        turns = [cpu for cpu in chain(*zip_longest(*groups)) if cpu is not None]
        return [[turns[index % len(turns)]] for index in range(count)]
    return [[]] * count


def bind_inherited() -> None:
    """Binds this process as its supervisor chose, with all threads it will start."""
    chosen = os.environ.pop(CPUS, "")
    if chosen:
        os.sched_setaffinity(0, map(int, chosen.split(",")))


def _parse(text: str) -> list[int]:
    """`0-3,8` as the kernel lists processors."""
    found: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
