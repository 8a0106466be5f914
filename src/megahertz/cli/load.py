"""`mhz load`: measure a URL from this machine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from megahertz.load import Plan, Report


@click.command()
@click.argument("url")
@click.option("-c", "--connections", default=64, show_default=True, help="Open at once.")
@click.option("-d", "--duration", default=10.0, show_default=True, help="Seconds measured.")
@click.option("--rate", type=float, help="Requests a second, on schedule (open loop).")
@click.option("--warmup", default=1.0, show_default=True, help="Seconds before measuring.")
@click.option("-X", "--method", help="GET, or POST with a body.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'")
@click.option("--body", metavar="TEXT|@FILE", help="{id}, {n} and {rand:LO-HI} are filled in.")
@click.option("--timeout", default=5.0, show_default=True, help="Seconds for an answer.")
@click.option("--threads", default=1, show_default=True, help="Native threads.")
@click.option("--expect", default="2xx", show_default=True, help="Statuses that are no error.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write it.")
def load(
    url: str,
    connections: int,
    duration: float,
    rate: float | None,
    warmup: float,
    method: str | None,
    headers: tuple[str, ...],
    body: str | None,
    timeout: float,
    threads: int,
    expect: str,
    file: Path | None,
) -> None:
    """Measure URL.

    Without --rate each connection sends its next request after the previous answer. With --rate
    requests are due on a schedule, and latency counts from the moment one was due: a server that
    stalls cannot hide it.

    \b
    mhz load http://127.0.0.1:8000/
    mhz load http://127.0.0.1:8000/orders --rate 5000 --expect 2xx,409 \\
        --body '{"id": {id}, "sku": {rand:1-4}, "user": {n}}'

    Exit code: 0 when every request was answered with an expected status; 1 when one was not, timed
    out, lost its connection or could not be sent; 2 when the command is not understood.
    """
    from rich.console import Console

    from megahertz.errors import BadSettings, ConnectError
    from megahertz.load import Plan, Template, statuses

    console = Console()
    try:
        template = Template(
            method=method or ("GET" if body is None else "POST"),
            headers=_headers(headers, body),
            body=_body(body),
            expect=statuses(expect),
        )
        plan = Plan(
            url=url,
            mix=(template,),
            connections=connections,
            threads=threads,
            rate=rate,
            warmup=warmup,
            duration=duration,
            timeout=timeout,
        )
        report = _drive(plan, console)
    except BadSettings as error:
        raise click.UsageError(str(error)) from error
    except ConnectError as error:
        raise click.ClickException(str(error)) from error
    _show(report, console, file)
    raise SystemExit(0 if report.ok else 1)


def _headers(given: tuple[str, ...], body: str | None) -> tuple[tuple[str, str], ...]:
    pairs = []
    for line in given:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"-H {line!r}: write 'name: value'")
        pairs.append((name.strip(), value.strip()))
    named = {name.lower() for name, _ in pairs}
    if body is not None and "content-type" not in named:
        pairs.append(("content-type", "application/json"))
    return tuple(pairs)


def _body(text: str | None) -> bytes | None:
    if text is None or not text.startswith("@"):
        return None if text is None else text.encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"--body {text}: {error.strerror}") from error


def _drive(plan: "Plan", console: "Console") -> "Report":
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from megahertz.load import Progress as Look
    from megahertz.load import drive

    columns = (TextColumn("{task.description:10}"), BarColumn(), TimeRemainingColumn())
    with Progress(
        *columns, TextColumn("{task.fields[live]}"), console=console, transient=True
    ) as bar:
        task = bar.add_task("connecting", total=plan.warmup + plan.duration, live="")

        def look(at: Look) -> None:
            p99 = at.latencies.quantile(0.99) * 1e3
            rate = len(at.latencies) / at.measured if at.measured else 0.0
            live = f"{rate:9,.0f} /s  p99 {p99:8.2f} ms  {at.failed:,} failed"
            bar.update(task, completed=at.elapsed, description=at.stage, live=live)

        return drive(plan, look)


def _show(report: "Report", console: "Console", file: Path | None) -> None:
    from megahertz.load import table

    if report.interrupted:
        console.print("[yellow]interrupted: this is what was measured until then")
    console.print(table(report))
    if not report.requests:
        console.print("[red]nothing was answered")
    if file is not None:
        file.write_text(json.dumps(report.as_dict(), indent=2) + "\n")
