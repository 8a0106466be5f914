"""What grows and does not stop growing: tasks, files, objects by type, memory.

Theory: much that grows is a cache that fills, or garbage that waits. So a kind is suspected only
when it is above its threshold *and* has grown in each of several windows, each of which had a full
collection in it. Only then are allocations traced, for one window (tracemalloc makes them some
times slower), and what is new by then is told with the line that made it.
"""

import asyncio
import gc
import os
import tracemalloc
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from megahertz.observe.stacks import is_foreign

WINDOWS = 4
"""That a kind has to grow in, one after the other."""

LEAST = {"tasks": 200, "files": 100, "memory": 64 << 20}
"""From how many on a kind is looked at; of objects see `OBJECTS`."""

OBJECTS = 10_000
"""Of one type."""

STEP = {"memory": 1 << 20}
"""By how much a kind has to grow in a window, at least; any other by one. The allocator keeps
arenas of 1 MiB, and a page more or less says nothing."""

FRAMES = 8
"""Of each allocation that is traced."""

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Something that grows.

    Attributes:
        kind: `tasks`, `files`, `memory`, or `objects of NAME`.
        counts: in the windows, the oldest first.
        where: the line that makes most of what is new, `file:line`; empty where it is not known.
    """

    kind: str
    counts: tuple[int, ...]
    where: str


class Growth:
    """Who has grown in each of the last windows, and is above its threshold.

    Args:
        windows: that it takes.
        least: by kind.
    """

    def __init__(self, windows: int = WINDOWS, least: Mapping[str, int] = LEAST) -> None:
        self._windows = windows
        self._least = least
        self._seen: deque[Counts] = deque(maxlen=windows + 1)

    def add(self, counts: Counts) -> dict[str, tuple[int, ...]]:
        """The end of a window with a full collection in it; who is suspected, with its counts."""
        self._seen.append(counts)
        if len(self._seen) <= self._windows:
            return {}
        histories = {kind: tuple(seen.get(kind, 0) for seen in self._seen) for kind in counts}
        return {kind: past for kind, past in histories.items() if self._grows(kind, past)}

    def _grows(self, kind: str, past: tuple[int, ...]) -> bool:
        above = past[-1] >= self._least.get(kind, OBJECTS)
        step = STEP.get(kind, 1)
        return above and all(before + step <= after for before, after in pairwise(past))

    def forget(self) -> None:
        """Begins again."""
        self._seen.clear()


class Leaks:
    """Looks once a window; the loop's thread does.

    Args:
        report: called with each leak.
        windows: that a kind has to grow in.
        least: thresholds by kind, beside the usual ones.
        sites: trace allocations for a window when something is suspected.
        count: how many there are of each kind.
        aside: calls what looks for the lines, which may take a second: in a thread, if it shall
            not hold up the loop. What is told then is told from there.
    """

    def __init__(
        self,
        report: Callable[[Leak], object],
        *,
        windows: int = WINDOWS,
        least: Mapping[str, int] | None = None,
        sites: bool = True,
        count: Callable[[], Counts] | None = None,
        aside: Callable[[Callable[[], None]], object] = lambda call: call(),
    ) -> None:
        self._aside = aside
        self._report = report
        self._growth = Growth(windows, {**LEAST, **(least or {})})
        self._sites = sites
        self._count = count or counted
        self._suspects: dict[str, tuple[int, ...]] = {}
        self._told: set[str] = set()
        self._tracing = False

    def look(self) -> None:
        """The end of a window: a full collection, and a count."""
        gc.collect()
        if self._suspects:
            return self._name()
        suspects = self._growth.add(self._count())
        self._suspects = {kind: past for kind, past in suspects.items() if kind not in self._told}
        if self._suspects and self._sites and not tracemalloc.is_tracing():
            self._tracing = True
            tracemalloc.start(FRAMES)
        elif self._suspects:
            self._name()

    def _name(self) -> None:
        """What was suspected a window ago and has grown again is told."""
        counts, grown = self._count(), dict[str, tuple[int, ...]]()
        for kind, past in self._suspects.items():
            now = counts.get(kind, 0)
            if now >= past[-1] + STEP.get(kind, 1) or not self._tracing:
                grown[kind] = (*past, now)
        self._told |= grown.keys()
        self._suspects = {}
        self._growth.forget()
        tasks = site("tasks") if "tasks" in grown else ""  # only the loop's thread knows them
        self._aside(partial(self._tell, grown, tasks))

    def _tell(self, grown: Mapping[str, tuple[int, ...]], tasks: str) -> None:
        try:
            for kind, counts in grown.items():
                where = tasks if kind == "tasks" else site(kind)
                self._report(Leak(kind=kind, counts=counts, where=where))
        finally:
            self.close()

    def close(self) -> None:
        """Traces no more."""
        if self._tracing:
            self._tracing = False
            tracemalloc.stop()


def counted() -> dict[str, int]:
    """Of this process: tasks of the running loop, open files, memory, objects by type."""
    types = Counter(map(type, gc.get_objects()))
    objects = {f"objects of {_name(kind)}": count for kind, count in types.items()}
    with open("/proc/self/statm", "rb") as file:
        memory = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    memory -= tracemalloc.get_tracemalloc_memory()  # what looking takes
    return {
        **objects,
        "tasks": len(asyncio.all_tasks()),
        "files": len(os.listdir("/proc/self/fd")),
        "memory": memory,
    }


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def site(kind: str) -> str:
    """The line that made most of what is there of a kind, as far as it is known."""
    if kind == "tasks":
        return _most(_waits(task) for task in asyncio.all_tasks())
    if not tracemalloc.is_tracing():
        return ""
    if kind == "memory":
        return _largest()
    if kind == "files":
        return _most(map(_made, filter(_has_file, gc.get_objects())))
    wanted = kind.removeprefix("objects of ")
    # Python 3.11 knows no trace of objects whose dict is kept in front of them.
    return _most(_made(it) for it in gc.get_objects() if _name(type(it)) == wanted) or _busiest()


def _waits(task: "asyncio.Task[Any]") -> str:
    """Where a task's coroutine is written, and where it waits."""
    coroutine = task.get_coro()
    code, frame = getattr(coroutine, "cr_code", None), getattr(coroutine, "cr_frame", None)
    if code is None:
        return ""
    line = f", waits at line {frame.f_lineno}" if frame is not None else ""
    return f"{code.co_filename}:{code.co_firstlineno} in {code.co_qualname}{line}"


def _has_file(it: object) -> bool:
    """An object with a descriptor of its own, not a wrapper around one."""
    kind = type(it)
    return kind.__module__ in ("_io", "socket", "_socket") and kind.__name__ in ("FileIO", "socket")


def _made(it: object) -> str:
    trace = tracemalloc.get_object_traceback(it)
    return "" if trace is None else _own(trace)


def _own(trace: tracemalloc.Traceback) -> str:
    """Its innermost line that is neither a library's nor ours."""
    frames = [f"{frame.filename}:{frame.lineno}" for frame in reversed(trace)]
    return next((line for line in frames if not is_foreign(line)), frames[0])


def _largest() -> str:
    """The line whose allocations hold most of what was allocated since tracing began."""
    sizes: Counter[str] = Counter()
    for found in _places():
        sizes[_own(found.traceback)] += found.size
    return sizes.most_common(1)[0][0] if sizes else ""


def _busiest() -> str:
    """The line of the user's own that has most of the blocks made since tracing began."""
    counts: Counter[str] = Counter()
    for found in _places():
        counts[_own(found.traceback)] += found.count
    own = [line for line, _ in counts.most_common() if not is_foreign(line)]
    return own[0] if own else ""


def _places() -> Iterator[tracemalloc.Statistic]:
    """What is allocated by each way to it, but for what looking for it allocates. The ways are some
    hundreds where the blocks are hundreds of thousands."""
    try:
        snapshot = tracemalloc.take_snapshot()
    except RuntimeError:
        return  # it has been closed meanwhile
    for found in snapshot.statistics("traceback"):
        if all(frame.filename != __file__ for frame in found.traceback):
            yield found


def _most(lines: Iterable[str]) -> str:
    known = Counter(line for line in lines if line)
    return known.most_common(1)[0][0] if known else ""
