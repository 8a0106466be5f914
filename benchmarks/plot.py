"""Pictures of results: SVG by hand, bars with the range of the rounds, or lines over points.

Light and dark: the file has both sets of colours and its own background, and follows the reader.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.figures import FIGURES, Figure
from benchmarks.peer import FLOOR, OURS
from benchmarks.result import Found

WIDTH = 800
LEFT = 230
RIGHT = 180
ROW = 24
TOP = 44
LINES = ("#d9480f", "#f08c00", "#2f9e44", "#1971c2", "#9c36b5", "#868e96")
"""Of the lines, ours first; each also has a dash pattern of its own."""
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2", "12 4")

STYLE = """<style>
.bg{fill:#fff}.t{fill:#1f2328;font:13px sans-serif}.h{font-weight:bold}.m{fill:#59636e}
.g{stroke:#d1d9e0}.o{fill:#d9480f}.p{fill:#74889c}.f{fill:#bcc6d0}.w{stroke:#1f2328}
@media (prefers-color-scheme:dark){.bg{fill:#0d1117}.t{fill:#e6edf3}.m{fill:#9198a1}
.g{stroke:#3d444d}.o{fill:#f76707}.p{fill:#7d8fa1}.f{fill:#4b5661}.w{stroke:#e6edf3}}
</style>"""


def plot(found: Found) -> str:
    """Bars where there is one point, else lines over the points."""
    points = found["points"]
    return _lines(found) if len(points) > 1 else _bars(found, *points.values())


def _bars(found: Found, measured: Mapping[str, Found]) -> str:
    name = "bytes" if any("bytes" in peer for peer in measured.values()) else "cpu_us"
    figure = FIGURES[name]
    rows = sorted(
        ((peer, it[name]) for peer, it in measured.items()), key=lambda row: row[1]["median"]
    )
    most = max(spread["max"] for _, spread in rows) or 1.0
    unit = (WIDTH - LEFT - RIGHT) / most
    title = f"{found['work']}: {_what(figure)}"
    drawn = [_text(12, 24, title, "t h")]
    for index, (peer, spread) in enumerate(rows):
        drawn += _bar(TOP + index * ROW, peer, spread, figure, unit)
    return _svg(TOP + len(rows) * ROW + 10, drawn)


def _what(figure: Figure) -> str:
    return (
        "bytes a connection" if figure is FIGURES["bytes"] else "CPU us a request, median and range"
    )


@dataclass(frozen=True)
class Bar:
    """A bar of a chart: what it is called, how long it is, what is written behind it."""

    label: str
    spread: Found
    text: str
    ours: bool


def charts(parts: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Bars below each other, each part by a scale of its own."""
    y, drawn = 0, []
    for title, bars in parts:
        unit = (WIDTH - LEFT - RIGHT) / (max(bar.spread["max"] for bar in bars) or 1.0)
        drawn.append(_text(12, y + 24, title, "t h"))
        for index, bar in enumerate(bars):
            kind = "o" if bar.ours else "p"
            drawn += _drawn(y + TOP + index * ROW, bar.label, bar.spread, kind, bar.text, unit)
        y += TOP + len(bars) * ROW + 10
    return _svg(y, drawn)


def _bar(y: int, peer: str, spread: Found, figure: Figure, unit: float) -> list[str]:
    kind = "o" if peer.rpartition(" on ")[2] in OURS else "f" if peer == FLOOR else "p"
    return _drawn(y, peer, spread, kind, figure.value(spread["median"]), unit)


def _drawn(y: int, label: str, spread: Found, kind: str, text: str, unit: float) -> list[str]:
    low, mid, high = (spread[name] * unit for name in ("min", "median", "max"))
    across = y + 9
    return [
        _text(LEFT - 8, y + 13, label, "t h" if kind == "o" else "t", "end"),
        f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{mid:.1f}" height="18" rx="2"/>',
        f'<path class="w" d="M{LEFT + low:.1f} {across}H{LEFT + high:.1f}'
        f'M{LEFT + low:.1f} {across - 4}v8M{LEFT + high:.1f} {across - 4}v8"/>',
        _text(LEFT + max(high, mid) + 6, y + 13, text, "t m"),
    ]


def _lines(found: Found) -> str:
    points = list(found["points"])
    peers = dict.fromkeys(peer for measured in found["points"].values() for peer in measured)
    ordered = sorted(peers, key=lambda peer: (peer not in OURS, peer))[: len(LINES)]
    height, low = 260, TOP + 300
    most = max(
        measured[peer]["cpu_us"]["median"]
        for measured in found["points"].values()
        for peer in ordered
        if peer in measured
    )
    step = (WIDTH - 60 - RIGHT) / max(1, len(points) - 1)
    drawn = [_text(12, 24, f"{found['work']}: CPU us a request by connections", "t h")]
    drawn += _grid(most, height, low, points, step)
    for index, peer in enumerate(ordered):
        places = [
            (60 + at * step, low - height * measured[peer]["cpu_us"]["median"] / most)
            for at, measured in enumerate(found["points"].values())
            if peer in measured
        ]
        drawn += _line(index, peer, places)
    return _svg(low + 40, drawn)


@dataclass(frozen=True)
class Curves:
    """A panel of percentages: its title, the points below it, and the lines by name."""

    title: str
    points: Sequence[int]
    lines: Mapping[str, Sequence[float]]


def curves(panels: Sequence[Curves]) -> str:
    """Lines over points, panels below each other."""
    height, low = 180, TOP + 200
    drawn = []
    for number, panel in enumerate(panels):
        step = (WIDTH - 60 - RIGHT) / max(1, len(panel.points) - 1)
        drawn.append(f'<g transform="translate(0,{number * (low + 40)})">')
        drawn.append(_text(12, 24, panel.title, "t h"))
        drawn += _grid(100.0, height, low, [str(point) for point in panel.points], step)
        for index, (name, shares) in enumerate(panel.lines.items()):
            places = [(60 + at * step, low - height * of / 100) for at, of in enumerate(shares)]
            drawn += _line(index, name, places)
        drawn.append("</g>")
    return _svg(len(panels) * (low + 40), drawn)


def _grid(most: float, height: int, low: int, points: Sequence[str], step: float) -> list[str]:
    drawn = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = low - height * share
        drawn.append(f'<path class="g" d="M60 {y:.1f}H{WIDTH - RIGHT}"/>')
        drawn.append(_text(52, y + 4, f"{most * share:.0f}", "t m", "end"))
    for at, point in enumerate(points):
        drawn.append(_text(60 + at * step, low + 20, f"{int(point):,}", "t m", "middle"))
    return drawn


def _line(index: int, peer: str, places: Sequence[tuple[float, float]]) -> list[str]:
    colour, dash = LINES[index], DASHES[index]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    stroke = f'stroke="{colour}" stroke-dasharray="{dash}" stroke-width="2" fill="none"'
    y = TOP + 20 + index * 20
    return [
        f'<path d="M{path}" {stroke}/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places),
        f'<path d="M{WIDTH - RIGHT + 16} {y - 4}h24" {stroke}/>',
        _text(WIDTH - RIGHT + 46, y, peer, "t h" if peer in OURS else "t"),
    ]


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'


def _svg(height: int, drawn: Sequence[str]) -> str:
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    box = f'<rect class="bg" width="{WIDTH}" height="{height}" rx="6"/>'
    body = "\n".join([STYLE, box, *drawn])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{body}\n</svg>\n'
