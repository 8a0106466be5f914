"""How much memory a process holds, and sizes as people write them."""

import os
from pathlib import Path

from megahertz.errors import BadSettings

_PAGE = os.sysconf("SC_PAGE_SIZE")
_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def resident(pid: int, proc: Path = Path("/proc")) -> int:
    """Bytes of a process that are in memory (proc_pid_statm(5)); 0: it has gone.

    It is what `ps` calls RSS: pages that it shares with other processes count as well.
    """
    try:
        return int((proc / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


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
