"""Plots as SVG: lines over a common time axis, and one line over percentiles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 1000, 190, 76, 16, 34, 26
# Okabe and Ito (2008): told apart with any colour vision.
COLOURS = ("#0072b2", "#e69f00", "#d55e00", "#009e73")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a plot; what nobody measured is a gap.

    Attributes:
        name: in the legend.
        points: x and y.
    """

    name: str
    points: Sequence[tuple[float, float | None]]

    def known(self) -> list[Point]:
        """Where something was measured."""
        return [(x, y) for x, y in self.points if y is not None]


@dataclass(frozen=True, slots=True)
class Axis:
    """Values to places.

    Attributes:
        low: the value at the begin.
        high: the value at the end.
        begin: the place of the low value.
        end: the place of the high one.
        log: a place is that of the logarithm.
    """

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value stands."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = log10(max(value, low)), log10(low), log10(high)
        return round(self.begin + (value - low) / (high - low) * (self.end - self.begin), 1)

    def ticks(self, most: int) -> list[float]:
        """Round values, at most so many gaps; every power of ten of a logarithm."""
        if self.log:
            return [10.0**power for power in range(round(log10(self.low)), _power(self.high) + 1)]
        step = _step((self.high - self.low) / most)
        return [
            step * count
            for count in range(ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9) + 1)
        ]


def _power(value: float) -> int:
    return round(log10(value))


def _step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, at least as much."""
    power = 10.0 ** floor(log10(rough))
    return next((power * digit for digit in (1, 2, 5) if power * digit >= rough), power * 10)


def linear(values: Sequence[float]) -> Axis:
    """From 0 to a round value above all."""
    most = max(values, default=0.0) or 1.0
    step = _step(most / 4)
    return Axis(0.0, step * ceil(most / step - 1e-9), HEIGHT - BOTTOM, TOP)


def logarithmic(values: Sequence[float]) -> Axis:
    """From the power of ten below all to the one above."""
    positive = [value for value in values if value > 0] or [1.0]
    low = floor(log10(min(positive)))
    return Axis(
        10.0**low, 10.0 ** max(low + 1, ceil(log10(max(positive)))), HEIGHT - BOTTOM, TOP, log=True
    )


def plot(
    title: str,
    lines: Sequence[Line],
    across: Axis,
    *,
    unit: Callable[[float], str],
    log: bool = False,
    ticks: Sequence[tuple[float, str]] = (),
) -> str:
    """A plot with its grid and legend; empty text where nothing was measured.

    Args:
        title: above it.
        lines: at most four.
        across: the x axis.
        unit: a value of the y axis as text.
        log: the y axis is logarithmic.
        ticks: of the x axis, where they are not round numbers.
    """
    values = [y for line in lines for _, y in line.known()]
    if not values:
        return ""
    up = logarithmic(values) if log else linear(values)
    marks = ticks or [(value, f"{value:g} s") for value in across.ticks(10)]
    parts = [_grid(up, across, unit, marks), _title(title, lines)]
    parts += [_line(line, across, up, colour) for line, colour in zip(lines, COLOURS, strict=False)]
    label = escape(title, quote=True)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>\n"
    )


def _grid(
    up: Axis, across: Axis, unit: Callable[[float], str], marks: Sequence[tuple[float, str]]
) -> str:
    rows = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up.at(v)}" y2="{up.at(v)}"/>'
        f'<text x="{LEFT - 8}" y="{up.at(v) + 4}" text-anchor="end">{escape(unit(v))}</text>'
        for v in up.ticks(5)
    )
    columns = "".join(
        f'<line class="grid" y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="{across.at(v)}"'
        f' x2="{across.at(v)}"/>'
        f'<text x="{across.at(v)}" y="{HEIGHT - 8}" text-anchor="middle">{escape(text)}</text>'
        for v, text in marks
    )
    return rows + columns


def _title(title: str, lines: Sequence[Line]) -> str:
    parts = [f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>']
    at = WIDTH - RIGHT
    for line, colour in reversed(list(zip(lines, COLOURS, strict=False))):
        if line.name:
            at -= 8 * len(line.name) + 12
            parts.append(
                f'<text x="{at + 8}" y="20">{escape(line.name)}</text>'
                f'<rect x="{at - 8}" y="10" width="11" height="11" fill="{colour}"/>'
            )
            at -= 16
    return "".join(parts)


def _line(line: Line, across: Axis, up: Axis, colour: str) -> str:
    """A polyline for each stretch without a gap; a dot for a point on its own."""
    stretches: list[list[Point]] = [[]]
    for x, y in line.points:
        if y is None:
            stretches.append([])
        else:
            stretches[-1].append((across.at(x), up.at(y)))
    return "".join(_stretch(stretch, colour) for stretch in stretches if stretch)


def _stretch(points: list[Point], colour: str) -> str:
    if len(points) == 1:
        ((x, y),) = points
        return f'<circle class="series" cx="{x}" cy="{y}" r="3" fill="{colour}"/>'
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline class="series" points="{path}" stroke="{colour}"/>'
