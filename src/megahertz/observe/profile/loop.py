"""What a loop's thread did, one after the other."""

from collections import Counter
from types import FrameType

from megahertz.observe.profile.behalf import Behalf
from megahertz.observe.profile.recording import Slice
from megahertz.observe.profile.table import Line
from megahertz.observe.stacks import WAITING, culprit, is_waiting

SLICES = 50_000
"""That are kept: ten minutes at 83 changes a second."""

SLOW = 0.1
"""Seconds without a turn that are told (asyncio's slow_callback_duration: 0.1)."""

NATIVE = "native code, called by the loop"
"""Where there is no line of Python."""

_SELECT = WAITING[0]


class LoopTimes:
    """Joins looks into slices.

    Attributes:
        idle: seconds in which it waited for events.
        left_out: slices that there was no room for.
        blocked: turns that were too long.
    """

    def __init__(self) -> None:
        self._slices: list[Slice] = []
        self._behalf: Behalf | None = None
        self._from = self._until = 0.0
        self._places: Counter[str] = Counter()
        self._turn: Counter[tuple[str, str]] = Counter()
        self.blocked: list[Slice] = []
        self.idle = 0.0
        self.left_out = 0

    @staticmethod
    def is_idle(frame: FrameType, *, busy: bool) -> bool:
        """Whether it waits for events; where its frames do not say (uvloop, native callbacks), by
        whether it used the processor."""
        code = frame.f_code
        if (code.co_name, True) == (_SELECT[1], code.co_filename.endswith(_SELECT[0])):
            return True
        return is_waiting(frame) and not busy

    def rest(self, at: float, passed: float) -> None:
        """It was seen idle."""
        self.idle += passed
        self._end()

    def ran(self, at: float, passed: float, behalf: Behalf, stack: tuple[Line, ...]) -> None:
        """It was seen to run, for the time since the look before."""
        if self._behalf != behalf:
            self._end()
            self._behalf, self._from = behalf, max(0.0, at - passed)
        self._until = at
        inner = (f"{code.co_filename}:{line} in {code.co_qualname}" for code, line in stack[::-1])
        where = culprit(inner) if stack else NATIVE
        self._places[where] += 1
        self._turn[behalf.route, where] += 1

    def came(self, *lags: tuple[float, float]) -> None:
        """It has come, so many seconds after it was asked; what was seen meanwhile made it late."""
        turn, self._turn = self._turn, Counter()
        for asked, seconds in lags:
            if seconds >= SLOW and turn and len(self.blocked) < SLICES:
                ((label, where), _) = turn.most_common(1)[0]
                self.blocked.append(Slice(at=asked, seconds=seconds, label=label, where=where))

    def _end(self) -> None:
        behalf, self._behalf = self._behalf, None
        if behalf is None:
            return
        ((where, _),) = self._places.most_common(1)
        self._places.clear()
        if len(self._slices) >= SLICES:
            self.left_out += 1
            return
        self._slices.append(
            Slice(
                at=self._from,
                seconds=self._until - self._from,
                label=f"{behalf.route} · {behalf.span}" if behalf.span else behalf.route,
                where=where,
                trace=behalf.trace,
            )
        )

    def slices(self) -> list[Slice]:
        """All of them."""
        self._end()
        return self._slices
