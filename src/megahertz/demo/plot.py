"""The sale as one HTML file with one SVG in it: nothing to fetch, nothing to run."""

from collections.abc import Callable, Iterator
from html import escape
from math import ceil, floor, log10

from megahertz.demo.measure import Figures
from megahertz.demo.sale import Result, Sale
from megahertz.demo.traffic import CONNECTIONS
from megahertz.load import duration

WIDTH, ROW, TOP = 1000, 78, 46
NAMES, GAP = 150, 70
PANEL = (WIDTH - NAMES - 2 * GAP) // 2
# Okabe and Ito (2008): told apart with any colour vision.
ORDERS, RUSH, INK, FAINT = "#0072b2", "#e69f00", "#222", "#ddd"

STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; color: {INK}; background: #fff;
       max-width: {WIDTH}px; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; margin: 0; }} p {{ margin: .3rem 0 1rem; }}
svg {{ width: 100%; height: auto; }} svg text {{ font: 13px system-ui, sans-serif; fill: {INK}; }}
svg .dim {{ fill: #666; font-size: 12px; }} svg .name {{ font-weight: 600; font-size: 15px; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .6rem; text-align: right; border-bottom: 1px solid {FAINT}; }}
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) {{ text-align: left; }}
.good {{ color: #00694c; }} .bad {{ color: #b00020; }}
"""


class Scale:
    """A logarithmic axis that begins and ends at a power of ten."""

    def __init__(self, values: list[float], left: int, width: int) -> None:
        positive = [value for value in values if value > 0] or [1.0]
        self.low = floor(log10(min(positive)))
        self.high = max(self.low + 1, ceil(log10(max(positive))))
        self._left, self._width = left, width

    def at(self, value: float) -> float:
        """Where a value stands."""
        share = (log10(max(value, 10**self.low)) - self.low) / (self.high - self.low)
        return round(self._left + share * self._width, 1)

    def ticks(self) -> list[float]:
        """Every power of ten."""
        return [10.0**power for power in range(self.low, self.high + 1)]


def plot(sale: Sale) -> str:
    """The page."""
    machine = sale.as_dict()["machine"]
    ratio = sale.ratio()
    headline = f"{ratio:,.0f} times the orders" if ratio else "Flash sale"
    verdict = (
        '<b class="good">The audit holds:</b> every acknowledged order is in its database once.'
        if sale.ok
        else '<b class="bad">The audit fails.</b>'
    )
    pinned = "server and generator on a core each" if sale.cores else "on one core"
    return (
        "<!doctype html>\n"
        '<html lang="en"><meta charset="utf-8"><title>flash sale</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style>\n<h1>{headline}</h1>\n"
        f"<p>The same shop in {len(sale.results)} stages, {CONNECTIONS} connections, "
        f"{sale.seconds:g} s a phase, {pinned}. {escape(machine['cpu'])}, "
        f"{machine['cores']} cores, Linux {escape(machine['kernel'])}, "
        f"Python {machine['python']}; {sale.when}.<br>{verdict}</p>\n"
        f"{_chart(sale)}\n{_table(sale)}\n</html>\n"
    )


def _chart(sale: Sale) -> str:
    shown = [figures for result in sale.results for figures in result.figures.values()]
    rates = Scale([figures.qps for figures in shown], NAMES, PANEL)
    times = Scale(
        [each for figures in shown for each in (figures.p50, figures.p999)],
        NAMES + PANEL + GAP,
        PANEL,
    )
    height = TOP + ROW * len(sale.results) + 30
    parts = [
        *_axis(rates, height, "requests a second", lambda value: f"{value:,.0f}"),
        *_axis(times, height, "P50, P99, P99.9", duration),
    ]
    for number, result in enumerate(sale.results):
        parts += _row(result, number, TOP + ROW * number, rates, times)
    label = "requests a second and latency of each stage, logarithmic"
    body = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">\n{body}\n</svg>'


def _axis(scale: Scale, height: int, title: str, label: Callable[[float], str]) -> Iterator[str]:
    left = scale.at(scale.ticks()[0])
    yield f'<text x="{left}" y="16" class="name">{title}</text>'
    for tick in scale.ticks():
        x = scale.at(tick)
        yield f'<line x1="{x}" x2="{x}" y1="{TOP - 10}" y2="{height - 22}" stroke="{FAINT}"/>'
        place = f'x="{x}" y="{height - 6}" text-anchor="middle"'
        yield f'<text {place} class="dim">{label(tick)}</text>'
    x = left + 175
    for name, colour in (("orders", ORDERS), ("rush", RUSH)):
        yield f'<rect x="{x}" y="6" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{x + 17}" y="16" class="dim">{name}</text>'
        x += 70


def _row(result: Result, number: int, y: int, rates: Scale, times: Scale) -> Iterator[str]:
    yield f'<text x="0" y="{y + 24}" class="name">{number} {escape(result.stage.name)}</text>'
    cpu = result.figures["orders"].cpu_per_request * 1e6
    yield f'<text x="0" y="{y + 42}" class="dim">{cpu:,.0f} us CPU an order</text>'
    for offset, (phase, colour) in enumerate((("orders", ORDERS), ("rush", RUSH))):
        yield from _bar(result.figures[phase], y + offset * 27, colour, rates)
        yield from _range(result.figures[phase], y + offset * 27 + 11, colour, times)


def _bar(figures: Figures, y: int, colour: str, scale: Scale) -> Iterator[str]:
    start, end = scale.at(0), scale.at(figures.qps)
    width = max(1.0, round(end - start, 1))
    yield f'<rect x="{start}" y="{y}" width="{width}" height="22" fill="{colour}"/>'
    text = f"{figures.qps:,.0f}"
    if width > 70:
        ink = INK if colour == RUSH else "#fff"
        style = f'text-anchor="end" style="fill:{ink}"'
        yield f'<text x="{end - 6}" y="{y + 16}" {style}>{text}</text>'
    else:
        yield f'<text x="{end + 6}" y="{y + 16}">{text}</text>'


def _range(figures: Figures, y: int, colour: str, scale: Scale) -> Iterator[str]:
    points = [scale.at(value) for value in (figures.p50, figures.p99, figures.p999)]
    yield (
        f'<line x1="{points[0]}" x2="{points[2]}" y1="{y}" y2="{y}" '
        f'stroke="{colour}" stroke-width="2"/>'
    )
    for x, radius in zip(points, (4, 7, 4), strict=True):
        yield f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{colour}"/>'
    yield f'<text x="{points[2] + 10}" y="{y + 5}" class="dim">P99 {duration(figures.p99)}</text>'


def _table(sale: Sale) -> str:
    heads = ("stage", "phase", "QPS", "P50", "P99", "P99.9", "failed", "CPU us", "CPU", "RSS MB")
    rows = [f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"]
    for result in sale.results:
        for phase, figures in result.figures.items():
            cells = (
                escape(result.stage.name),
                phase,
                f"{figures.qps:,.0f}",
                duration(figures.p50),
                duration(figures.p99),
                duration(figures.p999),
                f"{figures.failed:,}",
                f"{figures.cpu_per_request * 1e6:,.0f}",
                f"{figures.cpu:.0%}",
                f"{figures.rss / 1e6:,.0f}",
            )
            rows.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    titles = "".join(
        f"<li><b>{escape(result.stage.name)}</b>: {escape(result.stage.title)}</li>"
        for result in sale.results
    )
    note = "QPS of the orders phase counts orders made durable; CPU us is the server's, a request."
    return f'<ol start="0">{titles}</ol>\n<table>{"".join(rows)}</table>\n<p>{note}</p>'
