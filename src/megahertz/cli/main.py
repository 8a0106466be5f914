"""`mhz` itself: the list of its commands, and what to do next."""

from collections import UserDict
from importlib import import_module
from typing import Any

import click

COMMANDS = (
    "config",
    "demo",
    "doctor",
    "errors",
    "explain",
    "load",
    "new",
    "openapi",
    "profile",
    "reload",
    "routes",
    "run",
    "slo",
    "top",
    "trace",
)


class Commands(UserDict[str, Any]):
    """Modules by command; one is imported when it is asked for: a worker needs `run` alone."""

    def __getitem__(self, name: str) -> Any:
        return getattr(import_module(self.data[name]), name)


@click.group(
    commands=Commands({name: f"megahertz.cli.{name}" for name in COMMANDS}),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="megahertz")
@click.pass_context
def main(context: click.Context) -> None:
    """megahertz: async Python services at the cost of Go's.

    \b
    Start here:
      mhz new shop                      make a project that passes its own tests
      mhz run examples.hello:app        serve an application
      mhz load http://127.0.0.1:8000/   and measure it
      mhz demo flash-sale               see what it does to an ordinary service
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
