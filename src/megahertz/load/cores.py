"""Who runs where: a generator on the server's core measures itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def pair() -> tuple[int, int] | None:
    """A core for the server and one for the generator; None when this process has only one."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else None


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """The calling thread, and what it starts within, runs on that core; None: anywhere."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
