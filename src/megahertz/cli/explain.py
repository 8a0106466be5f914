"""`mhz explain`: why a request was refused, with the figures of that moment."""

import json
import sys
import time
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from megahertz.cli.whose import server_at
from megahertz.errors import MegahertzError
from megahertz.govern import remembered

LAST = 20
"""Refusals that are listed where none is asked for."""


@click.command()
@click.argument("request_id", required=False, metavar="[REQUEST-ID]")
@click.option(
    "--server",
    default=":8000",
    show_default=True,
    metavar="PID|:PORT|PIDFILE",
    help="Of the server that refused it.",
)
@click.option("--json", "as_json", is_flag=True, help="Plain data instead of a table.")
def explain(request_id: str | None, server: str, as_json: bool) -> None:
    """Tell which rule refused a request, and by which figures.

    A refusal (429, 503) carries the id in X-Request-ID, unless the request had one of its own. The
    last 4,096 refusals of all workers are kept, those that were only observed included.

    \b
    Example:
      mhz explain 0.1-9f3a-2c           one refusal
      mhz explain --server :8080        the last ones of who serves port 8080

    Exit codes: 0, 1 if there is no such refusal, 2 if there is no such server.
    """
    try:
        _, plane = server_at(server)
    except MegahertzError as error:
        raise click.UsageError(str(error)) from error
    found = remembered(plane)
    if request_id is not None:
        found = [one for one in found if one["id"] == request_id]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        Console().print(_table(found[:LAST]))
    if request_id is not None and not found:
        click.echo(f"no refusal of {request_id} among the last 4,096", err=True)
        sys.exit(1)
    if not found and not as_json:
        click.echo("nothing has been refused")


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table("when", "request", "route", "rule", "decided by", box=None, pad_edge=False)
    for one in found:
        told = ", ".join(f"{name} {_told(value)}" for name, value in one["figures"].items())
        when = time.strftime("%H:%M:%S", time.localtime(one["at"]))
        rule = f"{one['rule']} (observed)" if one["observed"] else one["rule"]
        table.add_row(when, one["id"], one["route"], rule, told)
    return table


def _told(figure: float | None) -> str:
    return "any" if figure is None else f"{figure:g}"
