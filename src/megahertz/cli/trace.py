"""`mhz trace`: one trace, from the services that have recorded it."""

import http.client
import os
import re
import ssl
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from megahertz.cli.screen import printable
from megahertz.cli.top import refused, requested
from megahertz.cli.whose import server_at
from megahertz.engine import ask_all
from megahertz.errors import BackendError, BadSettings, MegahertzError
from megahertz.observe import Node, Span, forest, mermaid, spans_of

PATH = "/_mhz/trace"

TIMEOUT = 5.0
"""Seconds for the workers of a server."""

_ID = re.compile(r"(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?", re.IGNORECASE)


@click.command()
@click.argument("trace_id", metavar="TRACE-ID")
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="PORT|PID|URL|FILE",
    help="A service, or OTLP in JSON; may be repeated  [default: 8000]",
)
@click.option("--token", envvar="MHZ_TOKEN", help="Of `Overview(token=...)`, for URLs.")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="A sequence diagram of Mermaid.")
@click.option("--json", "as_json", is_flag=True, help="The spans for programs.")
def trace(
    trace_id: str, sources: Sequence[str], token: str | None, as_mermaid: bool, as_json: bool
) -> None:
    """Show a trace: what each service did for a request, and whom it asked.

    \b
    Example:
      mhz trace 4bf92f3577b34da6a3ce929d0e0e4736
      mhz trace 4bf9...4736 --from 8000 --from https://stock.example --mermaid
      mhz trace 4bf9...4736 --from spans.json

    Services keep their last spans (`Tracing(keep=1024)`); a FILE is what a collector's file
    exporter writes. A traceparent stands for its trace.

    Exit codes: 0, 1 if nobody knows the trace, 2 if a source cannot be read.
    """
    match = _ID.fullmatch(trace_id)
    if match is None:
        raise click.BadParameter(f"{trace_id!r}: 32 hex digits, or a traceparent")
    wanted = match[1].lower()
    spans = [span for source in sources or ["8000"] for span in _spans(source, wanted, token)]
    if not spans:
        click.echo(f"nobody has recorded {wanted}, or it is forgotten by now", err=True)
        sys.exit(1)
    if as_mermaid:
        click.echo(mermaid(spans), nl=False)
    elif as_json:
        click.echo(msgspec.json.encode(spans))
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
        for tree in _trees(forest(spans)):
            console.print(tree)


def _spans(source: str, wanted: str, token: str | None) -> list[Span]:
    try:
        if "://" in source:
            return _of_url(source, wanted, token)
        if os.path.isfile(source):
            found = spans_of(Path(source).read_bytes(), name=source)
            return [span for span in found if span.trace == wanted]
        return _of_server(source, wanted)
    except (OSError, ssl.SSLError, http.client.HTTPException) as error:
        raise click.UsageError(f"{source}: {error}") from error
    except MegahertzError as error:
        raise click.UsageError(str(error)) from error


def _of_server(source: str, wanted: str) -> list[Span]:
    _, plane = server_at(source)
    answers = ask_all([pid for _, pid, _ in plane.owners()], "trace", timeout=TIMEOUT, id=wanted)
    spans: list[Span] = []
    for answer in answers.values():
        if isinstance(answer, BackendError):
            click.echo(f"Error: {answer}", err=True)
        else:
            spans += msgspec.json.decode(answer, type=list[Span])
    return spans


def _of_url(url: str, wanted: str, token: str | None) -> list[Span]:
    with requested(url, f"{PATH}?id={wanted}", token) as answer:
        if answer.status != 200:
            raise BadSettings(refused(url, answer.status))
        try:
            return msgspec.json.decode(answer.read(), type=list[Span])
        except msgspec.MsgspecError as error:
            raise BadSettings(f"{url} does not answer as megahertz does: {error}") from error


def _trees(roots: Sequence[Node]) -> Iterator[Tree]:
    for root in roots:
        tree = Tree(_told(root))
        waiting = [(tree, root)]
        while waiting:
            branch, node = waiting.pop()
            waiting += [(branch.add(_told(one)), one) for one in node.below]
        yield tree


def _told(node: Node) -> Text:
    span = node.span
    text = Text(printable(span.name))
    text.append(f"  {printable(span.service) or 'unknown service'}", "dim")
    text.append(f"  {span.seconds * 1e3:.3g} ms" if span.ended else "  has not ended", "bold")
    if span.status is not None:
        text.append(f"  {span.status}")
    if span.error is not None:
        text.append(f"  {printable(span.error)}", "red")
    return text
