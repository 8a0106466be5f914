"""The process's own figures, read where reading costs least."""

import os
import resource
import threading
from typing import NamedTuple

from megahertz.engine import resident

SELF = "/proc/self"


def memory() -> int:
    """Bytes that are resident."""
    return resident(os.getpid())


def open_files(path: str = f"{SELF}/fd") -> int:
    """Descriptors that are open: since Linux 6.2 the size of the folder (proc_pid_fd(5)), before
    that its entries, a millisecond for a thousand of them."""
    return os.stat(path).st_size or len(os.listdir(path))


def most_files() -> int:
    """Descriptors that may be."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def threads(path: str = f"{SELF}/task") -> int:
    """Threads, those that Python does not know of included: a folder has a link from each inner
    one, and two of its own."""
    return os.stat(path).st_nlink - 2


def cpu() -> float:
    """Seconds of processor time, of user and system."""
    times = os.times()
    return times.user + times.system


class Schedule(NamedTuple):
    """What the scheduler has given a thread, in seconds, and whether it would run now."""

    ran: float
    waited: float
    wants: bool


def schedule(thread: int) -> Schedule | None:
    """Of a thread of this process, by the kernel's number; None: the kernel does not tell."""
    task = f"{SELF}/task/{thread}"
    try:
        with open(f"{task}/schedstat", "rb") as file:
            ran, waited, _ = map(int, file.read().split())
        with open(f"{task}/stat", "rb") as file:
            state = file.read().rpartition(b") ")[2][:1]
    except (OSError, ValueError):
        return None
    return Schedule(ran / 1e9, waited / 1e9, state == b"R")


def run_delay() -> int | None:
    """Nanoseconds that this thread has waited for a processor (schedstat, the second number:
    Documentation/scheduler/sched-stats.rst of Linux); None: the kernel does not tell."""
    try:
        with open(f"/proc/self/task/{threading.get_native_id()}/schedstat", "rb") as file:
            return int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        return None
