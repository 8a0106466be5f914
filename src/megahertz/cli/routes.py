"""`mhz routes`: what an application serves."""

import click
from rich.console import Console
from rich.table import Table

from megahertz.cli.target import described
from megahertz.http import Declared


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("--factory", is_flag=True, help="MODULE:APP makes the application.")
def routes(target: str, factory: bool) -> None:
    """List the routes of a megahertz App.

    \b
    Example:
      mhz routes examples.hello:app
    """
    app = described(target, factory=factory)
    table = Table("methods", "path", "name", "handler", "policy", box=None, header_style="bold")
    for route in app.declared():
        table.add_row(*_row(route))
    Console(width=None if Console().is_terminal else 200).print(table)


def _row(route: Declared) -> tuple[str, ...]:
    handler = f"{route.handler.__module__}.{getattr(route.handler, '__qualname__', '?')}"
    return ",".join(route.methods), route.path, route.name, handler, _rules(route)


def _rules(route: Declared) -> str:
    policy = route.policy
    rules = {
        "deadline": policy.deadline,
        "limit": policy.limit,
        "concurrency": policy.concurrency,
    }
    return ", ".join(f"{name} {rule}" for name, rule in rules.items() if rule is not None)
