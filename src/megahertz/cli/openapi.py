"""`mhz openapi`: an application's OpenAPI document."""

import json
from pathlib import Path

import click

from megahertz.cli.target import described


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("--factory", is_flag=True, help="MODULE:APP makes the application.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A file; else stdout.")
@click.option("--check", is_flag=True, help="Exit code 1 where the file of --output differs.")
def openapi(target: str, factory: bool, output: Path | None, check: bool) -> None:
    """Write the OpenAPI 3.1 document of a megahertz App.

    With --check nothing is written: a document that is committed cannot fall behind the code.

    \b
    Example:
      mhz openapi examples.inventory:app --output openapi.json
      mhz openapi examples.inventory:app --output openapi.json --check
    """
    app = described(target, factory=factory)
    text = json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"
    if check:
        _compare(text, output, target)
    elif output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text)


def _compare(text: str, output: Path | None, target: str) -> None:
    if output is None:
        raise click.UsageError("--check compares with the file of --output")
    if not output.exists() or output.read_text() != text:
        again = f"mhz openapi {target} --output {output}"
        raise click.ClickException(f"{output} is not what the code says; write it by: {again}")
