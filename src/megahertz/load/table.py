"""A report for a terminal."""

from collections.abc import Mapping

from rich.table import Table

from megahertz.load.part import Part
from megahertz.load.report import MEANING, Report
from megahertz.load.threshold import Checked


def duration(seconds: float) -> str:
    """Three digits with the unit that suits: `412 us`, `1.25 ms`, `3.40 s`."""
    for unit, scale in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < scale * 999.5:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def heading(report: Report) -> str:
    """What was asked for, in a line."""
    plan = report.plan
    if plan.stages:
        loop = f"{plan.stages.of} {' '.join(map(str, plan.stages.parts))}"
    elif plan.rate:
        loop = f"{plan.rate:,.0f} requests/s"
    else:
        loop = "each after the previous answer"
    if plan.think:
        loop += f" and {plan.think} s of thought"
    version = f", HTTP/2 with {plan.streams} streams" if plan.http2 else ""
    version += f", pipelined x{plan.pipeline}" if plan.pipeline > 1 else ""
    version += "" if plan.keepalive else ", a connection for each request"
    return f"{plan.url}  {plan.connections} connections{version}, {loop}, {report.seconds:.1f} s"


def table(report: Report) -> Table:
    """The figures, the statuses, the failures and the thresholds."""
    view = Table(show_header=False)
    view.add_column(style="bold")
    view.add_column(justify="right")
    view.add_column(style="dim")
    view.add_row("requests", f"{report.requests:,}", f"{report.qps:,.0f} /s")
    since = "from the intended start" if report.plan.is_open else "from the send"
    for name, seconds in report.latency().items() if len(report.latencies) else ():
        view.add_row(name.replace("p999", "p99.9"), duration(seconds), since)
        since = ""
    successes = report.total.successes
    if 0 < len(successes) < len(report.latencies):
        view.add_row("p99 < 400", duration(successes.quantile(0.99)), "of answers below status 400")
    _counts(view, report)
    _thresholds(view, report.checked())
    return view


def _counts(view: Table, report: Report) -> None:
    expected = frozenset[int]().union(*(template.expect for template in report.plan.mix))
    view.add_section()
    for status, count in sorted(report.statuses.items()):
        note = "" if status in expected else "[red]not expected"
        view.add_row(str(status), f"{count:,}", note)
    for name, count in report.failures.items():
        view.add_row(f"[red]{name}", f"{count:,}", reason(report, name))
    view.add_section()
    view.add_row(
        "received", f"{report.received / 1e6:,.1f} MB", f"{report.connects:,} connections made"
    )
    if report.saturated:
        view.add_row(
            "[yellow]generator", f"{report.generator:.0%}", "busy: its own queue is in the figures"
        )


def reason(report: Report, name: str) -> str:
    """What a failure means, and the first that was seen of it."""
    seen = report.troubles.get(name)
    return f"{MEANING[name]}: {seen}" if seen else MEANING[name]


def _thresholds(view: Table, checked: tuple[Checked, ...]) -> None:
    view.add_section()
    for found in checked:
        verdict = "[green]holds" if found.holds else "[red]broken"
        view.add_row(found.threshold.text, value(found), verdict)


def value(checked: Checked) -> str:
    """What was measured, in the unit of its kind."""
    if checked.value is None:
        return "nothing measured"
    if checked.threshold.metric == "errors":
        return f"{checked.value:.3%}"
    if checked.threshold.metric == "rate":
        return f"{checked.value:,.0f} /s"
    return duration(checked.value)


def breakdown(title: str, parts: Mapping[str, Part]) -> Table:
    """A row for each request or tag."""
    view = Table(title=title, title_justify="left")
    view.add_column(style="bold")
    for column in ("requests", "/s", "p50", "p99", "p99.9", "failed"):
        view.add_column(column, justify="right")
    for name, part in parts.items():
        at = part.latency()
        times = (duration(at[key]) for key in ("p50", "p99", "p999"))
        failed = f"[red]{part.failed:,}" if part.failed else "0"
        view.add_row(name, f"{part.requests:,}", f"{part.qps:,.0f}", *times, failed)
    return view
