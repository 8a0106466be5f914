"""`mhz load compare`: two runs side by side."""

from pathlib import Path

import click

from megahertz.cli.load.options import FILE
from megahertz.cli.load.verdict import BROKEN, OK, explained


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@click.option("--within", default=0.05, show_default=True, help="A share that is no change.")
@click.option("--fail", is_flag=True, help="Exit with 1 where something is worse than that.")
def compare(before: Path, after: Path, within: float, fail: bool) -> None:
    """Compare two files that --json wrote.

    \b
    mhz load http://127.0.0.1:8000/ --json before.json
    mhz load http://127.0.0.1:8000/ --json after.json
    mhz load compare before.json after.json --within 0.1 --fail

    One pair of runs says little about small changes: repeat both, and trust what repeats.
    """
    from rich.console import Console

    from megahertz.load import compare as compared
    from megahertz.load import comparison

    console = Console()
    with explained():
        found = compared(before, after)
    console.print(comparison(found, within=within))
    for key, (one, two) in found.unlike.items():
        console.print(f"[yellow]not the same {key}:[/] {one} and {two}")
    raise SystemExit(BROKEN if fail and found.worst() > within else OK)
