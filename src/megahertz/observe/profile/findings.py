"""What a recording comes to: lines that block, that routes wait at, that take the processor."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from megahertz.observe.profile.loop import NATIVE
from megahertz.observe.profile.recording import Frame, Recording, Stack
from megahertz.observe.stacks import culprit

MOST = 10
"""Of each kind: a screen full."""

WORTH = 0.005
"""Of the time that was looked at: what is less is noise of sampling at 100 a second."""


class Finding(msgspec.Struct, kw_only=True):
    """A line, and what it came to.

    Attributes:
        kind: blocks, waits or runs.
        route: on whose behalf; of several the one it was most for.
        where: the user's own line.
        seconds: in all.
        longest: of one; 0.0 where that is not known.
        count: times it blocked, or samples.
        share: of the time that was looked at, all workers together; of waiting, requests that
            were there on average.
    """

    kind: str
    route: str
    where: str
    seconds: float
    longest: float = 0.0
    count: int = 0
    share: float = 0.0


def findings(recordings: Sequence[Recording]) -> list[Finding]:
    """The most of each kind: what blocks first, then where requests wait, then what runs."""
    looked = sum(one.seconds for one in recordings) or 1.0
    found = [*_blocks(recordings), *_waits(recordings), *_runs(recordings)]
    kept = []
    for kind in ("blocks", "waits", "runs"):
        of_kind = [one for one in found if one.kind == kind]
        for one in of_kind:
            one.share = one.seconds / looked
        of_kind.sort(key=lambda one: -one.seconds)
        kept += [one for one in of_kind if kind == "blocks" or one.share >= WORTH][:MOST]
    return kept


def _blocks(recordings: Iterable[Recording]) -> Iterable[Finding]:
    found: dict[tuple[str, str], Finding] = {}
    for one in (it for recording in recordings for it in recording.blocked):
        key = (one.label, one.where)
        seen = found.setdefault(
            key, Finding(kind="blocks", route=one.label, where=one.where, seconds=0.0)
        )
        seen.seconds += one.seconds
        seen.longest = max(seen.longest, one.seconds)
        seen.count += 1
    return found.values()


def _waits(recordings: Iterable[Recording]) -> Iterable[Finding]:
    return _lines(((it.frames, it.waiting) for it in recordings), "waits")


def _runs(recordings: Iterable[Recording]) -> Iterable[Finding]:
    return _lines(((it.frames, it.running) for it in recordings), "runs")


def _lines(
    found: Iterable[tuple[Sequence[Frame], Sequence[Stack]]], kind: str
) -> Iterable[Finding]:
    sums: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0])
    for frames, stacks in found:
        for stack in stacks:
            inner = (frames[number].place for number in reversed(stack.frames))
            key = (stack.route, culprit(inner) if stack.frames else NATIVE)
            sums[key][0] += stack.held
            sums[key][1] += stack.count
    for (route, where), (seconds, count) in sums.items():
        yield Finding(kind=kind, route=route, where=where, seconds=seconds, count=int(count))
