"""From the text of files under /proc and /sys to numbers; each a function of the text alone."""

import re
from itertools import pairwise


def counters(text: str) -> dict[str, int]:
    """`/proc/net/snmp` and `/proc/net/netstat`: two lines each, names and values."""
    found: dict[str, int] = {}
    lines = text.splitlines()
    for names, values in pairwise(lines):
        head, _, rest = names.partition(":")
        again, _, told = values.partition(":")
        if head != again or not head:
            continue
        for name, value in zip(rest.split(), told.split(), strict=False):
            if value.lstrip("-").isdigit() and not name.lstrip("-").isdigit():
                found[f"{head}.{name}"] = int(value)
    return found


def most_files(text: str) -> int:
    """The soft limit of open files in `/proc/PID/limits`; a large number where there is none."""
    found = re.search(r"^Max open files\s+(\S+)", text, re.MULTILINE)
    return int(found[1]) if found and found[1].isdigit() else 1 << 30


def parent(text: str) -> int:
    """The parent in `/proc/PID/stat`; the program's name may have spaces and brackets."""
    fields = text.rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def cpu_groups(text: str) -> list[str]:
    """Folders of `cpu.stat` from `/proc/PID/cgroup`, the process's own first, then those above.

    Both versions: `0::/path` is the second, `4:cpu,cpuacct:/path` the first.
    """
    found: list[str] = []
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        roots = [controllers, "cpu"] if controllers else ["", "unified"]
        for root in dict.fromkeys(roots):
            mount = f"/sys/fs/cgroup/{root}".rstrip("/")
            found += [f"{mount}{part}".rstrip("/") for part in _upwards(path)]
    return found


def _upwards(path: str) -> list[str]:
    parts = path.strip("/").split("/") if path.strip("/") else []
    return ["/" + "/".join(parts[:count]) for count in range(len(parts), -1, -1)]


def throttling(text: str) -> tuple[int, int, float]:
    """Periods, those in which it was stopped, and seconds of that, from `cpu.stat`."""
    found = dict(line.split()[:2] for line in text.splitlines() if len(line.split()) >= 2)
    lost = int(found.get("throttled_usec", 0)) / 1e6 or int(found.get("throttled_time", 0)) / 1e9
    return int(found.get("nr_periods", 0)), int(found.get("nr_throttled", 0)), lost


def numa(text: str) -> tuple[int, int]:
    """Pages that went to a processor of another node, and all, from `nodeN/numastat`."""
    found = dict(line.split()[:2] for line in text.splitlines() if len(line.split()) >= 2)
    other, own = int(found.get("other_node", 0)), int(found.get("local_node", 0))
    return other, other + own
