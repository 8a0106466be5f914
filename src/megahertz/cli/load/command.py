"""`mhz load URL`, and the commands below it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from megahertz.cli.load.compare import compare
from megahertz.cli.load.knee import knee
from megahertz.cli.load.options import FILE, asked, plan_options
from megahertz.cli.load.verdict import RUN, code, explained
from megahertz.cli.load.writing import writable, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from megahertz.load import Plan, Report


class Run(click.Command):
    """The command without a name of its own."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """`mhz load [OPTIONS] [URL]`."""
        formatter.write_usage(ctx.command_path.strip(), " ".join(self.collect_usage_pieces(ctx)))


class Load(click.Group):
    """Takes a URL where other groups take the name of a command.

    hey, oha and wrk are called with a URL, and so was this one before it had commands.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Whatever is not the name of a command is the command line of a run."""
        if not args or args[0] not in self.commands:
            args = ["", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The empty name is that of the run."""
        return (None, run, args[1:]) if args[0] == "" else super().resolve_command(ctx, args)


@click.command(cls=Run, epilog=RUN, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("url", required=False)
@click.option("-d", "--duration", default=10.0, show_default=True, help="Seconds measured.")
@click.option("--rate", type=float, help="Requests a second, on schedule (open loop).")
@click.option("--stages", metavar="LEVEL:SECONDS,..", help="Steps; LEVEL~:SECONDS is a ramp.")
@click.option(
    "--stages-of",
    type=click.Choice(["rate", "connections"]),
    default="rate",
    show_default=True,
    help="What the levels count.",
)
@click.option("--think", help="Seconds after an answer: 0.5, 0.1-0.9 or exp:0.5 (closed loop).")
@click.option("--pipeline", default=1, show_default=True, help="Requests sent without waiting.")
@plan_options
@click.option("--json", "json_file", type=FILE, help="Write everything.")
@click.option("--csv", "csv_file", type=FILE, help="Write a row for each 0.2 s.")
@click.option("--html", "html_file", type=FILE, help="Write a page with plots.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent.")
@click.pass_context
def run(
    context: click.Context,
    /,
    json_file: Path | None,
    csv_file: Path | None,
    html_file: Path | None,
    dry_run: bool,
    **given: Any,
) -> None:
    """Measure URL, or what a scenario file says.

    Without --rate each connection sends its next request after the previous answer. With --rate
    requests are due on a schedule, and latency counts from the moment one was due: a server that
    stalls cannot hide it.

    \b
    mhz load http://127.0.0.1:8000/
    mhz load http://127.0.0.1:8000/orders --rate 5000 --expect 2xx,409 --expect 'p99<50ms' \\
        --body '{"id": {id}, "sku": {rand:1-4}, "user": {n}}'
    mhz load --scenario checkout.toml --html report.html
    mhz load --stages 1000:10,5000~:30 http://127.0.0.1:8000/

    \b
    Also:
      mhz load knee URL           the largest rate that a service holds
      mhz load compare A B        two reports of --json side by side
    """
    from rich.console import Console

    from megahertz.load import Live, drive

    console = Console()
    with explained():
        wanted = asked(context, given)
        if dry_run:
            _rehearse(wanted.plan, console)
            return
        writable(json_file, csv_file, html_file)
        with Live(console, wanted.plan) as live:
            report = drive(
                wanted.plan, live.look, server=wanted.server, thresholds=wanted.thresholds
            )
    _show(report, console)
    _write(report, json_file, csv_file, html_file)
    raise SystemExit(code(report))


def _rehearse(plan: "Plan", console: "Console") -> None:
    plan.check()
    for template, request in zip(plan.mix, plan.requests(), strict=True):
        _, method, target, headers, body = request
        lines = [f"{method} {target}", *(f"{name}: {value}" for name, value in headers)]
        console.print(f"[bold]{template.title}", highlight=False)
        text = "\n".join(lines) + ("\n\n" + body.decode(errors="replace") if body else "")
        console.print(text, markup=False, highlight=False)


def _show(report: "Report", console: "Console") -> None:
    from megahertz.load import breakdown, heading, table

    if report.interrupted:
        console.print("[yellow]interrupted: this is what was measured until then")
    console.print(heading(report), style="bold", highlight=False)
    console.print(table(report))
    if len(report.plan.mix) > 1:
        console.print(breakdown("by request", report.by_name()))
    if tags := report.by_tag():
        console.print(breakdown("by tag", tags))
    if not report.requests:
        console.print("[red]nothing was answered")


def _write(
    report: "Report", json_file: Path | None, csv_file: Path | None, html_file: Path | None
) -> None:
    from megahertz.load import page, write

    if json_file is not None:
        write_json(json_file, report.as_dict())
    if csv_file is not None:
        write(report.samples, csv_file)
    if html_file is not None:
        html_file.write_text(page(report))


load = Load("load", help=run.help, short_help="Measure URL, or what a scenario file says.")
load.add_command(knee)
load.add_command(compare)
