"""`mhz slo`: the objectives of routes as rules for Prometheus."""

import click

from megahertz.cli.target import described
from megahertz.errors import BadSettings
from megahertz.observe import Objective, slo_rules


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("--factory", is_flag=True, help="MODULE:APP makes the application.")
def slo(target: str, factory: bool) -> None:
    """Write recording and alert rules for the objectives that routes declare (slo=SLO(...)).

    \b
    Example:
      mhz slo shop.main:app > slo.yml
      promtool check rules slo.yml
    """
    app = described(target, factory=factory)
    found = [
        Objective(",".join(route.methods), route.path, route.slo)
        for route in app.declared()
        if route.slo is not None
    ]
    if not found:
        raise BadSettings(f"{target}: no route has an objective: @app.get(..., slo=SLO(...))")
    click.echo(slo_rules(found), nl=False)
