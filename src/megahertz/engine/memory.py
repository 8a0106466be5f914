"""How much memory a process holds, and sizes as people write them."""

import os
from pathlib import Path

from megahertz.errors import BadSettings

_PAGE = os.sysconf("SC_PAGE_SIZE")
_GROUPS = Path("/sys/fs/cgroup")
_machine = _PAGE * os.sysconf("SC_PHYS_PAGES")
_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def resident(pid: int, proc: Path = Path("/proc")) -> int:
    """Bytes of a process that are in memory (proc_pid_statm(5)); 0: it has gone.

    It is what `ps` calls RSS: pages that it shares with other processes count as well.
    """
    try:
        return int((proc / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def memory_limit(root: Path = _GROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that all processes of our control group may hold, or else what the machine has.

    Args:
        root: where the groups are mounted.
        own: which one is ours, as for `cgroup_quota`.
    """
    found = _machine
    for group in groups(root, own):
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                text = (group / name).read_text().strip()
            except OSError:
                continue
            found = min(found, int(text)) if text.isdecimal() else found
    return found


def groups(root: Path, own: Path) -> list[Path]:
    """Our control groups that may bound memory, and those above them, of both versions."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "memory" if controllers else root
        parts = [part for part in path.split("/") if part and part != ".."]
        found += [top.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
    return found


def size(text: str) -> int:
    """Bytes of `512MiB`.

    Raises:
        BadSettings: it is no size.
    """
    digits = text.rstrip("KMGiB ")
    unit = text[len(digits) :].strip()
    if not digits.isdecimal() or unit not in _UNITS or int(digits) == 0:
        raise BadSettings(f"{text!r} is no size: write bytes, or 512MiB (KiB, MiB, GiB)")
    return int(digits) * _UNITS[unit]
