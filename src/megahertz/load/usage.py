"""What a server's processes have used, read from /proc (man 5 proc)."""

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU and memory of a process and its children.

    Attributes:
        cpu: seconds of user and system time of what lives now.
        rss: resident bytes now; pages that processes share count in each.
    """

    cpu: float
    rss: int


def usage(pid: int) -> Usage:
    """The usage of a process and all below it; zeros once it has gone."""
    cpu, rss = 0.0, 0
    for process in tree(pid):
        try:
            cpu += _cpu(process)
            rss += int((_PROC / f"{process}/statm").read_text().split()[1]) * _PAGE
        except (FileNotFoundError, ProcessLookupError):
            continue
    return Usage(cpu, rss)


def tree(pid: int) -> list[int]:
    """The process and all below it, parents first."""
    found = [pid]
    try:
        for task in (_PROC / f"{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def threads(pid: int) -> int:
    """Of a process and all below it; 0 once it has gone."""
    found = 0
    for process in tree(pid):
        try:
            found += len(list((_PROC / f"{process}/task").iterdir()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _cpu(pid: int) -> float:
    """Nanoseconds of the scheduler where the kernel keeps them, else ticks of 10 ms."""
    tasks = list((_PROC / f"{pid}/task").iterdir())
    try:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        fields = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
