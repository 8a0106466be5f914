"""`mhz load knee`: the largest rate that a service holds."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from megahertz.cli.load.options import FILE, asked, plan_options
from megahertz.cli.load.verdict import BROKEN, OK, SEARCH, UNANSWERED, UNREACHABLE, explained
from megahertz.cli.load.writing import writable, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from megahertz.load import Bounds, Knee, Step

WITHOUT_CONNECTION = {"refused", "connect", "connect_timeout", "tls", "dropped"}


@click.command(epilog=SEARCH, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("url", required=False)
@click.option("--from", "start", default=100.0, show_default=True, help="The first rate.")
@click.option("--to", "most", default=1e6, show_default=True, help="The last rate tried.")
@click.option("--step", "seconds", default=3.0, show_default=True, help="Seconds at each rate.")
@click.option("--within", default=0.05, show_default=True, help="Share between held and broken.")
@click.option("--cores", default=1.0, show_default=True, help="That the server may use.")
@click.option("--max-lag", default=0.1, show_default=True, help="Seconds its loop may be late.")
@click.option("--growth", default=15.0, show_default=True, help="MB/s that its RSS may grow.")
@plan_options
@click.option("--json", "json_file", type=FILE, help="Write every step.")
@click.option("--csv", "csv_file", type=FILE, help="Write a row for each 0.2 s.")
@click.option("--html", "html_file", type=FILE, help="Write a page with plots.")
@click.pass_context
def knee(
    context: click.Context,
    /,
    start: float,
    most: float,
    seconds: float,
    within: float,
    cores: float,
    max_lag: float,
    growth: float,
    json_file: Path | None,
    csv_file: Path | None,
    html_file: Path | None,
    **given: Any,
) -> None:
    """Find the largest rate at which URL keeps its P99.9 and its errors.

    The rate is doubled until one breaks, then the gap is halved. --expect sets what has to hold
    (by default p99.9<50ms and errors<0.1%); --pid, --tasks and --lag tell why it broke.

    \b
    mhz load knee http://127.0.0.1:8000/ --pid $(pgrep -of 'mhz run') --html knee.html
    mhz load knee http://127.0.0.1:8000/ --expect 'p99.9<20ms' --expect 'errors<1%' --from 1000
    """
    from rich.console import Console

    from megahertz.load import Live, Plan, Report, Search, drive, search

    console = Console()

    def attempt(plan: Plan) -> Report:
        with Live(console, plan) as live:
            return drive(plan, live.look, server=wanted.server)

    with explained():
        writable(json_file, csv_file, html_file)
        wanted = asked(context, given)
        found = search(
            attempt,
            wanted.plan,
            bounds=_bounds(wanted.thresholds, cores=cores, lag=max_lag, growth=growth),
            how=Search(start=start, most=most, seconds=seconds, within=within),
            tell=partial(_tell, console),
        )
    _show(found, console)
    _write(wanted.plan.url, found, json_file, csv_file, html_file)
    raise SystemExit(_code(found))


def _bounds(thresholds: Any, *, cores: float, lag: float, growth: float) -> "Bounds":
    from megahertz.errors import BadSettings
    from megahertz.load import Bounds

    limits: dict[str, float] = {}
    for threshold in thresholds:
        name = {"p99.9": "p999", "p999": "p999", "errors": "errors"}.get(threshold.metric)
        if name is None or not threshold.below or threshold.of:
            raise BadSettings(f"{threshold.text!r}: the knee knows p99.9<TIME and errors<SHARE")
        limits[name] = threshold.limit
    return Bounds(**limits, cores=cores, lag=lag, memory=growth * 1e6)


def _tell(console: "Console", step: "Step") -> None:
    from megahertz.load import duration

    verdict = "[green]holds" if step.holds else "[red]breaks"
    p999, errors = duration(step.total.latency()["p999"]), f"{step.total.errors:.2%}"
    figures = f"{step.rate:>12,.0f} /s  p99.9 {p999:>8}  errors {errors:>7}"
    console.print(f"{figures}  {verdict}[/]  {step.why or ''}", highlight=False)
    if step.rule:
        console.print(f"[yellow]{step.rule}", highlight=False)


def _show(found: "Knee", console: "Console") -> None:
    if found.rate is None:
        console.print("[red]no knee: not even the first rate holds")
    elif found.breaks is None:
        console.print(f"[yellow]no knee: everything up to {found.rate:,.0f} /s holds")
    else:
        breaks = f"{found.breaks:,.0f} /s breaks, first by {found.why}"
        console.print(f"[bold]knee: {found.rate:,.0f} /s[/] holds, {breaks}", highlight=False)


def _write(
    url: str,
    found: "Knee",
    json_file: Path | None,
    csv_file: Path | None,
    html_file: Path | None,
) -> None:
    from megahertz.load import in_a_row, knee_page, write

    if json_file is not None:
        write_json(json_file, {"url": url, **found.as_dict()})
    if csv_file is not None:
        write(in_a_row(found.steps), csv_file)
    if html_file is not None:
        html_file.write_text(knee_page(url, found))


def _code(found: "Knee") -> int:
    if not any(step.total.requests for step in found.steps):
        reasons = {reason for step in found.steps for reason in step.total.failures}
        return UNREACHABLE if reasons <= WITHOUT_CONNECTION else UNANSWERED
    return OK if found.rate is not None and found.breaks is not None else BROKEN
