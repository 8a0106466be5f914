"""`mhz` itself: the list of its commands, and what to do next."""

import click

from megahertz.cli.config import config
from megahertz.cli.demo import demo
from megahertz.cli.doctor import doctor
from megahertz.cli.errors import errors
from megahertz.cli.explain import explain
from megahertz.cli.load import load
from megahertz.cli.new import new
from megahertz.cli.openapi import openapi
from megahertz.cli.profile import profile
from megahertz.cli.reload import reload
from megahertz.cli.routes import routes
from megahertz.cli.run import run
from megahertz.cli.slo import slo
from megahertz.cli.top import top
from megahertz.cli.trace import trace


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
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


main.add_command(errors)
main.add_command(new)
main.add_command(routes)
main.add_command(openapi)
main.add_command(run)
main.add_command(reload)
main.add_command(explain)
main.add_command(top)
main.add_command(profile)
main.add_command(trace)
main.add_command(load)
main.add_command(doctor)
main.add_command(slo)
main.add_command(config)
main.add_command(demo)
