"""Which lines got memory and kept it, between two moments.

By tracemalloc: it is in the standard library and works from inside. memray sees native allocations
as well, but needs a debugger (gdb or lldb, ptrace) to attach.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable

from megahertz.errors import BackendError, BadSettings
from megahertz.observe.profile.recorder import LONGEST
from megahertz.observe.profile.recording import Growth
from megahertz.observe.stacks import OURS

LINES = 50
"""That are told."""

LOOK = 0.1
"""Seconds between two looks for who asks to have gone."""

_IGNORED = (
    tracemalloc.Filter(False, tracemalloc.__file__),
    tracemalloc.Filter(False, f"{OURS}observe/profile/*"),
    tracemalloc.Filter(False, "<frozen importlib._bootstrap*>"),
)


def grown(
    seconds: float,
    gone: Callable[[], bool] = lambda: False,
    *,
    wait: Callable[[float], None] = time.sleep,
) -> list[Growth]:
    """The lines whose memory has grown most in these seconds, after a full collection.

    Only what is allocated meanwhile is seen; tracing slows allocations down.

    Raises:
        BackendError: tracemalloc is in use by somebody else.
        BadSettings: a time that cannot be.
    """
    if not 0 < seconds <= LONGEST:
        raise BadSettings(f"{seconds} s: above 0, at most {LONGEST:g}")
    if tracemalloc.is_tracing():
        raise BackendError("tracemalloc traces already, for somebody else")
    tracemalloc.start()
    try:
        left = seconds
        while left > 0 and not gone():
            wait(min(left, LOOK))
            left -= LOOK
        gc.collect()
        found = tracemalloc.take_snapshot().filter_traces(_IGNORED).statistics("lineno")
    finally:
        tracemalloc.stop()
    return [
        Growth(
            where=f"{one.traceback[0].filename}:{one.traceback[0].lineno}",
            bytes=one.size,
            blocks=one.count,
        )
        for one in found[:LINES]
    ]
