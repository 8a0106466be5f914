"""Stacks that are counted together, in bounded memory."""

from collections.abc import Iterable
from types import CodeType, FrameType

from megahertz.observe.profile.behalf import Behalf
from megahertz.observe.profile.recording import Frame, Stack

STACKS = 20_000
"""Different ones, some 10 MiB; above, the rest is one line."""

DEEPEST = 128
"""Frames of a stack, the innermost ones (perf: kernel.perf_event_max_stack, 127)."""

Line = tuple[CodeType, int]


_BELOW = {
    "Handle._run": "asyncio/events.py",
    "BaseEventLoop._run_once": "asyncio/base_events.py",
    "Runner.run": "asyncio/runners.py",
    "_WorkItem.run": "concurrent/futures/thread.py",
    "Thread.run": "threading.py",
}
"""What is below every callback of a loop, and every call in a pool."""


def is_below(code: CodeType) -> bool:
    """Whether a function calls whatever there is to do, and nobody asked for it."""
    file = _BELOW.get(code.co_qualname)
    return file is not None and code.co_filename.endswith(file)


def lines(frame: FrameType | None) -> tuple[Line, ...]:
    """A stack down to the loop or the pool that called it, the outermost first."""
    found: list[Line] = []
    while frame is not None and len(found) < DEEPEST and not is_below(frame.f_code):
        found.append((frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno))
        frame = frame.f_back
    return tuple(reversed(found))


class Table:
    """Counts stacks. What is kept of a frame is its code, made plain at the end."""

    def __init__(self, most: int = STACKS) -> None:
        self._most = most
        self._stacks: dict[tuple[Behalf, str, tuple[Line, ...]], Stack] = {}
        self.left_out = 0

    def add(
        self,
        behalf: Behalf,
        stack: tuple[Line, ...],
        *,
        held: float,
        cpu: float = 0.0,
        thread: str = "",
    ) -> None:
        """One sample."""
        behalf = Behalf(behalf.route, behalf.span)  # a trace each would be a stack each
        key = (behalf, thread, stack)
        found = self._stacks.get(key)
        if found is None:
            if len(self._stacks) >= self._most:
                self.left_out += 1
                key = (Behalf("(more)"), "", ())
            found = self._stacks.setdefault(
                key, Stack(route=key[0].route, span=key[0].span, thread=key[1], frames=[])
            )
        found.held += held
        found.cpu += cpu
        found.count += 1

    def stacks(self, frames: dict[Line, int]) -> list[Stack]:
        """All of them; their frames are numbered in `frames`, which grows."""
        for (_, _, stack), found in self._stacks.items():
            found.frames = [frames.setdefault(line, len(frames)) for line in stack]
        return list(self._stacks.values())


def plain(found: Iterable[Line]) -> list[Frame]:
    """Frames as data."""
    return [Frame(code.co_qualname, code.co_filename, line) for code, line in found]
