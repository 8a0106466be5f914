"""What ran when, and what waited for what: recordings as one SVG."""

import hashlib
from collections.abc import Iterator, Sequence
from html import escape

from megahertz.observe.profile.lanes import lanes_of
from megahertz.observe.profile.recording import Recording, Slice

WIDTH, LEFT, ROW, GAP = 1400, 110, 16, 10
LANES = 60
"""Rows of requests of a worker that are drawn; trace.json has all."""

LETTER = 6.6
"""Units of a letter of 11 in a monospaced face."""

THIN = 0.3
"""Units below which a slice is left out."""


def timeline(recordings: Sequence[Recording]) -> str:
    """The SVG; each worker has rows for its loop, its lag, the collector and its requests."""
    first = min((one.began for one in recordings), default=0)
    last = max((one.began / 1e9 + one.seconds for one in recordings), default=0.0)
    seconds = max(last - first / 1e9, 0.001)
    top, parts = 30.0, list[str]()
    for one in recordings:
        drawn = _Worker(one, (one.began - first) / 1e9, (WIDTH - LEFT - 10) / seconds)
        parts += drawn.rows(top)
        top = drawn.bottom + 2 * GAP
    pids = ", ".join(str(one.pid) for one in recordings)
    return _PAGE.format(
        width=WIDTH,
        height=round(top),
        title=escape(f"Timeline: {seconds:.1f} s of {pids}"),
        body="\n".join([*_axis(seconds, top), *parts]),
    )


_PAGE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
font-family="ui-monospace, monospace" font-size="11">
<title>{title}</title>
<style>rect:hover {{ stroke: #000 }} text {{ pointer-events: none }}</style>
<rect width="100%" height="100%" fill="#ffffff"/>
{body}
</svg>
"""


def _axis(seconds: float, height: float) -> Iterator[str]:
    step = next(it for it in _steps() if seconds / it <= 10)
    for number in range(int(seconds / step) + 1):
        x = LEFT + number * step / seconds * (WIDTH - LEFT - 10)
        yield f'<path d="M{x:.1f} 20V{height:.0f}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="14" text-anchor="middle">{number * step:g} s</text>'


def _steps() -> Iterator[float]:
    for power in range(-4, 4):
        yield from (one * 10.0**power for one in (1, 2, 5))


class _Worker:
    """Draws one, from a line on downwards."""

    def __init__(self, recording: Recording, offset: float, scale: float) -> None:
        self._recording = recording
        self._offset = offset
        self._scale = scale
        self.bottom = 0.0

    def rows(self, top: float) -> Iterator[str]:
        seen = self._recording
        self.bottom = top
        yield f'<text x="4" y="{top + 12:g}" font-weight="bold">worker {seen.pid}</text>'
        self.bottom += ROW
        yield from self._row("loop", seen.loop)
        yield from self._row("late", seen.blocked, colour="#d93025")
        yield from self._lag()
        yield from self._row("collector", seen.pauses, colour="#7b1fa2")
        for number, lane in enumerate(lanes_of(seen)[:LANES]):
            yield from self._row("" if number else "requests", lane)

    def _row(self, name: str, slices: Sequence[Slice], colour: str = "") -> Iterator[str]:
        top, self.bottom = self.bottom, self.bottom + ROW
        yield f'<text x="4" y="{top + 12:g}" fill="#444">{name}</text>'
        ends: list[float] = []
        for one in slices:
            while ends and ends[-1] <= one.at:
                ends.pop()
            yield self._slice(one, top, colour or _colour(one.label), len(ends))
            ends.append(one.at + one.seconds)

    def _slice(self, one: Slice, top: float, colour: str, depth: int) -> str:
        width = one.seconds * self._scale
        if width < THIN:
            return ""
        told = f"{one.label}: {one.seconds * 1e3:.1f} ms at {one.at:.3f} s"
        told += f"\n{one.where}" if one.where else ""
        height = max(3, ROW - 2 - 4 * depth)
        letters = int(width / LETTER) - 1
        name = "" if depth or letters < 4 else one.label[:letters]
        shown = f'<text x="{self._x(one.at) + 3:.1f}" y="{top + 12:g}">{escape(name)}</text>'
        return (
            f'<rect x="{self._x(one.at):.2f}" y="{top + ROW - 1 - height:g}" '
            f'width="{width:.2f}" height="{height}" fill="{colour}"><title>{escape(told)}</title>'
            f"</rect>{shown if name else ''}"
        )

    def _lag(self) -> Iterator[str]:
        top, self.bottom = self.bottom, self.bottom + 2 * ROW
        most = max((seconds for _, seconds in self._recording.lags), default=0.0) or 1.0
        yield f'<text x="4" y="{top + 12:g}" fill="#444">lag</text>'
        yield f'<text x="4" y="{top + 26:g}" fill="#888">to {most * 1e3:.1f} ms</text>'
        low = top + 2 * ROW - 2
        points = [
            f"{self._x(at):.1f},{low:g} {self._x(at + lag):.1f},{low - lag / most * 26:.1f}"
            for at, lag in self._recording.lags
        ]
        yield f'<polyline points="{" ".join(points)}" fill="none" stroke="#0b5cad"/>'

    def _x(self, at: float) -> float:
        return LEFT + max(0.0, self._offset + at) * self._scale


def _colour(label: str) -> str:
    """The same label has the same, in all rows and recordings."""
    tint = hashlib.blake2s(label.encode(), digest_size=2).digest()
    return f"hsl({tint[0] * 360 // 256} {45 + tint[1] % 25}% 62%)"
