"""Where requests wait: what each of them waited for, and all together by line."""

from collections.abc import Sequence
from types import CodeType
from typing import Any

from megahertz.engine import Waiting
from megahertz.observe.profile.behalf import Behalf
from megahertz.observe.profile.recording import Slice, Track
from megahertz.observe.profile.table import DEEPEST, Line, Table
from megahertz.observe.stacks import culprit, step

MOST = 64
"""Requests that are looked at each time, those that wait longest: the loop looks at them itself."""

TRACKS = 1_000
"""Requests that are told one by one; all count in the table."""


class Waits:
    """Joins looks at the requests that wait.

    Attributes:
        most: that are looked at.
        table: by stack.
        left_out: requests that have no track for want of room.
    """

    def __init__(self) -> None:
        self.most = MOST
        self.table = Table()
        self.left_out = 0
        self._tracks: dict[int, tuple[Any, Track]] = {}
        self._done: list[Track] = []
        self._last = 0.0

    def look(self, at: float, waiting: Sequence[Waiting]) -> None:
        """These wait at this moment; on the loop."""
        passed, self._last = at - self._last, at
        seen = set()
        for one in waiting:
            key = id(one.task)
            seen.add(key)
            stack = awaited(one.task.get_coro())
            label = one.route or "(application)"
            held = passed if one.seconds is None else min(passed, one.seconds)
            self.table.add(Behalf(label), stack, held=held)
            self._follow(key, label, one, at, passed, stack)
        for key in [key for key in self._tracks if key not in seen]:
            self._done.append(self._tracks.pop(key)[1])

    def _follow(
        self,
        key: int,
        label: str,
        one: Waiting,
        at: float,
        passed: float,
        stack: tuple[Line, ...],
    ) -> None:
        where = culprit(_told(line) for line in reversed(stack))
        known = self._tracks.get(key)
        if known is None:
            if len(self._tracks) + len(self._done) >= TRACKS:
                self.left_out += 1
                return
            began = at - (passed if one.seconds is None else one.seconds)
            track = Track(label=label, path=one.exchange.path, began=began, parts=[])
            # The task is held: its number is nobody else's as long as it is.
            known = self._tracks[key] = (one.task, track)
        track = known[1]
        last = track.parts[-1] if track.parts else None
        if last is not None and last.where == where:
            last.seconds = at - last.at
            return
        begins = max(0.0, track.began) if last is None else last.at + last.seconds
        track.parts.append(Slice(at=begins, seconds=at - begins, label=label, where=where))

    def tracks(self) -> list[Track]:
        """All of them."""
        return self._done + [track for _, track in self._tracks.values()]


def awaited(coroutine: Any) -> tuple[Line, ...]:
    """The lines at which a coroutine and what it awaits wait, the outermost first."""
    found: list[tuple[CodeType, int]] = []
    while len(found) < DEEPEST:
        frame, inner = step(coroutine)
        if frame is None:
            break
        found.append((frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno))
        coroutine = inner
    return tuple(found)


def _told(line: Line) -> str:
    code, number = line
    return f"{code.co_filename}:{number} in {code.co_qualname}"
