"""A report, or a search for the knee, as one HTML file: nothing to fetch, nothing to run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from math import log10

from megahertz.load.findings import Finding, pile_up
from megahertz.load.knee import Knee, Step
from megahertz.load.machine import machine
from megahertz.load.part import Part
from megahertz.load.report import Report
from megahertz.load.sample import Sample
from megahertz.load.svg import LEFT, RIGHT, WIDTH, Axis, Line, plot
from megahertz.load.table import duration, heading, reason, value

STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: {WIDTH}px; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.1rem; margin: 1.6rem 0 .3rem; }} p {{ margin: .3rem 0 1rem; }}
svg {{ width: 100%; height: auto; margin: .2rem 0; }}
svg text {{ font: 12px system-ui, sans-serif; fill: #444; }}
svg .title {{ font-weight: 600; font-size: 14px; fill: #222; }}
svg .grid {{ stroke: #ddd; stroke-width: 1; }}
svg polyline {{ fill: none; stroke-width: 2; stroke-linejoin: round; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #ddd; }}
th:first-child, td:first-child {{ text-align: left; overflow-wrap: anywhere; }}
.good {{ color: #00694c; }} .bad {{ color: #b00020; }}
.figures {{ display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0; }}
.figures b {{ display: block; font-size: 1.5rem; }}
"""


def page(report: Report) -> str:
    """The report of a run."""
    at = report.latency()
    figures = {
        "answers/s": f"{report.qps:,.0f}",
        "p50": duration(at["p50"]),
        "p99": duration(at["p99"]),
        "p99.9": duration(at["p999"]),
        "failed": f"{report.failed:,}",
    }
    body = [
        _figures(figures),
        _verdict(report),
        *_plots(report.samples),
        _curve(report),
        _parts("By request", report.by_name() if len(report.plan.mix) > 1 else {}),
        _parts("By tag", report.by_tag()),
        _counts(report),
        _rule(pile_up(report.samples)),
    ]
    return _page("mhz load", heading(report), body)


def knee_page(url: str, knee: Knee) -> str:
    """A search for the knee: its steps one after the other on one time axis."""
    found = f"{knee.rate:,.0f} /s" if knee.rate is not None else "none"
    figures = {"knee": found}
    if knee.breaks is not None:
        figures["breaks at"] = f"{knee.breaks:,.0f} /s"
    if knee.why is not None:
        figures["broke first"] = knee.why.name
    because = f"<p>{escape(knee.why.text)}</p>" if knee.why else ""
    rules = [_rule(step.rule) for step in knee.steps]
    body = [_figures(figures), because, *_plots(in_a_row(knee.steps)), _steps(knee.steps), *rules]
    return _page("mhz load knee", f"The knee of {url}", body)


def in_a_row(steps: Iterable[Step]) -> list[Sample]:
    """The samples of steps as if they were one run."""
    row: list[Sample] = []
    for step in steps:
        begin = row[-1].at if row else 0.0
        row += [replace(sample, at=begin + sample.at) for sample in step.samples]
    return row


def _page(title: str, head: str, body: Iterable[str]) -> str:
    about = machine()
    return (
        "<!doctype html>\n"
        f'<html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style>\n<h1>{escape(head)}</h1>\n"
        f"<p>{escape(about['cpu'])}, {about['cores']} cores, Linux {escape(about['kernel'])}</p>\n"
        f"{''.join(body)}</html>\n"
    )


def _figures(figures: Mapping[str, str]) -> str:
    items = "".join(f"<div>{name}<b>{escape(text)}</b></div>" for name, text in figures.items())
    return f'<div class="figures">{items}</div>\n'


def _verdict(report: Report) -> str:
    kind, text = ("good", "as expected") if report.ok else ("bad", "not as expected")
    if report.interrupted:
        text += ", interrupted"
    rows = [
        (checked.threshold.text, value(checked), "holds" if checked.holds else "broken")
        for checked in report.checked()
    ]
    busy = (
        f"<p>The generator worked {report.generator:.0%} of the time: "
        "its own queue is in the figures.</p>\n"
        if report.saturated
        else ""
    )
    verdict = f'<p class="{kind}"><b>{text}</b></p>\n'
    return verdict + busy + (_table(("threshold", "measured", ""), rows) if rows else "")


def _plots(samples: Sequence[Sample]) -> list[str]:
    """The dimensions, each under the other, on one time axis."""
    if not samples:
        return []
    time = Axis(0.0, samples[-1].at, LEFT, WIDTH - RIGHT)

    def line(key: str, name: str = "", scale: float = 1.0) -> Line:
        values = [(sample.at, getattr(sample, key)) for sample in samples]
        return Line(name, [(x, None if y is None else y * scale) for x, y in values])

    latencies = [line("p50", "p50"), line("p99", "p99"), line("p999", "p99.9")]
    return [
        "<h2>Over time</h2>\n",
        plot("answers a second", [line("rate")], time, unit=_count),
        plot("latency", latencies, time, unit=duration, log=True),
        plot("failed in 0.2 s", [line("failed")], time, unit=_count),
        plot("memory of the server", [line("rss", scale=1e-6)], time, unit="{:g} MB".format),
        plot("tasks of the server", [line("tasks")], time, unit=_count),
        plot("processor of the server", [line("cpu")], time, unit="{:g} cores".format),
        plot("lag of its loop", [line("lag")], time, unit=duration),
    ]


def _curve(report: Report) -> str:
    points = [(-log10(1 - q), seconds) for q, seconds in report.curve()]
    if not points:
        return ""
    nines = Axis(0.0, max(1.0, points[-1][0]), LEFT, WIDTH - RIGHT)
    names = ("0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %")
    ticks = [(float(at), name) for at, name in enumerate(names) if at <= nines.high + 1e-9]
    line = Line("", points)
    return "<h2>By percentile</h2>\n" + plot(
        "latency", [line], nines, unit=duration, log=True, ticks=ticks
    )


def _parts(title: str, parts: Mapping[str, Part]) -> str:
    if not parts:
        return ""
    rows = []
    for name, part in parts.items():
        at = part.latency()
        times = [duration(at[key]) for key in ("p50", "p99", "p999")]
        rows.append((name, f"{part.requests:,}", f"{part.qps:,.0f}", *times, f"{part.failed:,}"))
    names = ("", "requests", "/s", "p50", "p99", "p99.9", "failed")
    return f"<h2>{title}</h2>\n" + _table(names, rows)


def _counts(report: Report) -> str:
    answers = [(str(status), f"{n:,}", "") for status, n in sorted(report.statuses.items())]
    lost = [(name, f"{n:,}", reason(report, name)) for name, n in report.failures.items()]
    names = ("answer", "requests", "")
    return "<h2>Answers</h2>\n" + _table(names, answers + lost)


def _steps(steps: Iterable[Step]) -> str:
    rows = [
        (
            f"{step.rate:,.0f} /s",
            f"{step.total.qps:,.0f}",
            duration(step.total.latency()["p999"]),
            f"{step.total.errors:.2%}",
            str(step.why) if step.why else "holds",
        )
        for step in steps
    ]
    names = ("rate", "answers/s", "p99.9", "errors", "")
    return "<h2>Steps</h2>\n" + _table(names, rows)


def _rule(found: Finding | None) -> str:
    if found is None:
        return ""
    return f'<p class="bad">{escape(str(found))}</p>\n'


def _table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>\n"


def _count(number: float) -> str:
    return f"{number:,.10g}"
