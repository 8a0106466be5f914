"""`mhz top`: what a server does, in the terminal."""

import http.client
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import click
import msgspec
from rich.console import Console
from rich.live import Live

from megahertz.cli.screen import drawn
from megahertz.cli.whose import server_at
from megahertz.errors import BackendError, MegahertzError
from megahertz.http import scene
from megahertz.observe import Snapshot

PATH = "/_mhz/live"

SILENT = 10.0
"""Seconds without a picture after which a server is given up; it sends one each second."""

WIDE = 200
"""Columns where there is no terminal: for grep, a request on one line."""


@click.command()
@click.argument("target", metavar="PORT|URL|PID", default="8000")
@click.option("--token", envvar="MHZ_TOKEN", help="Of `Overview(token=...)`, for a URL.")
@click.option("--once", is_flag=True, help="One picture of one second, as plain text.")
@click.option("--json", "as_json", is_flag=True, help="The same for programs.")
def top(target: str, token: str | None, once: bool, as_json: bool) -> None:
    """Show what a server does: routes, workers, rules, refusals, slow requests, errors.

    \b
    Example:
      mhz top                          who serves port 8000, on this machine
      mhz top 4711                     the server of a process
      mhz top https://shop.example     another machine: App(overview=Overview(token=...))
      mhz top 8000 --json | jq .totals

    On this machine the application needs nothing for it. Rates and latencies are those of the last
    5 s, of all workers together. Where the output is no terminal it is --once.

    Exit codes: 0, 1 if it stops answering, 2 if there is no such server.
    """
    try:
        pictures = _remote(target, token) if "://" in target else _local(target)
        if once or as_json or not sys.stdout.isatty():
            next(pictures)
            _print(next(pictures), as_json)
        else:
            _follow(pictures, target)
    except (BackendError, OSError, ssl.SSLError, http.client.HTTPException) as error:
        click.echo(f"Error: {target}: {error}", err=True)
        sys.exit(1)
    except MegahertzError as error:
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt:
        pass


def _print(picture: Snapshot, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(picture))
    else:
        wide = None if sys.stdout.isatty() else WIDE
        Console(highlight=False, width=wide).print(drawn(picture))


def _follow(pictures: Iterator[Snapshot], target: str) -> None:
    console = Console(highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for picture in pictures:
            live.update(drawn(picture, height=console.height, title=target), refresh=True)


def _local(target: str) -> Iterator[Snapshot]:
    try:
        _, plane = server_at(target)
    except MegahertzError as error:
        raise click.UsageError(str(error)) from error
    return _pictures(scene(plane).look)


def _pictures(look: Callable[[], Snapshot]) -> Iterator[Snapshot]:
    while True:
        picture = look()
        if not picture.workers:
            raise BackendError("it has ended")
        yield picture
        time.sleep(1.0)


def _remote(url: str, token: str | None) -> Iterator[Snapshot]:
    with requested(url, PATH, token) as answer:
        if answer.status != 200:
            raise click.UsageError(refused(url, answer.status))
        for line in answer:
            if line.startswith(b"data: "):
                yield msgspec.json.decode(line[6:], type=Snapshot)
    raise BackendError("it has ended the stream")


@contextmanager
def requested(url: str, path: str, token: str | None) -> Iterator[http.client.HTTPResponse]:
    """The answer of a server's overview to a path below its address."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=SILENT)
    try:
        shown = {} if token is None else {"authorization": f"Bearer {token}"}
        connection.request("GET", parts.path.rstrip("/") + path, headers=shown)
        yield connection.getresponse()
    finally:
        connection.close()


def refused(url: str, status: int) -> str:
    """Why it does not show itself, and what to do."""
    why = {
        401: "it asks for a token: --token, or MHZ_TOKEN",
        403: "it shows itself to its own machine alone: App(overview=Overview(token=...))",
        404: "it has no overview: App(overview=Overview(...))",
        503: "as many look at it as may",
    }
    return f"{url} answers {status}: {why.get(status, 'is it a server of megahertz?')}"
