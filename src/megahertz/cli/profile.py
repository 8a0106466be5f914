"""`mhz profile`: what a running server spends its time on, and what its requests wait for."""

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from megahertz.cli.whose import server_at
from megahertz.engine import ask_all
from megahertz.errors import BackendError, MegahertzError
from megahertz.observe import profile as seen

BEYOND = 30.0
"""Seconds beyond those of the recording that a worker has to tell it."""

TITLES = {
    "blocks": "held up the loop, and all requests with it",
    "waits": "requests waited here",
    "runs": "took the time of the loop, or of a processor in a thread",
}


@click.command()
@click.argument("target", metavar="PORT|PID", default="8000")
@click.option(
    "--seconds", type=click.FloatRange(0.1, seen.LONGEST), default=10.0, show_default=True
)
@click.option(
    "--rate", type=click.IntRange(1, seen.MOST_RATE), default=seen.RATE, show_default=True
)
@click.option("--pid", type=int, help="This worker alone.")
@click.option("--output", metavar="DIR", help="For the files  [default: profile-DATE-TIME]")
@click.option("--heap", is_flag=True, help="Memory by line instead of time.")
@click.option("--json", "as_json", is_flag=True, help="The findings for programs; no files.")
def profile(
    target: str,
    seconds: float,
    rate: int,
    pid: int | None,
    output: str | None,
    heap: bool,
    as_json: bool,
) -> None:
    """Record what a running server does, by route: flame graph, timeline, and the lines to look at.

    \b
    Example:
      mhz profile                              who serves port 8000, all workers, 10 s
      mhz profile 8000 --seconds 30 --output slow
      mhz profile 8000 --heap                  which lines get memory and keep it

    It writes flame.svg and timeline.svg for a browser, profile.speedscope.json for speedscope.app
    and trace.json for ui.perfetto.dev. The server goes on; the last line says what recording it
    has cost. --heap traces allocations, which slows them down meanwhile.

    Exit codes: 0, 1 if no worker could be recorded, 2 if there is no such server.
    """
    question = "heap" if heap else "profile"
    recordings = _recordings(target, pid, question, seconds, rate)
    if heap:
        _show_heap(recordings, as_json)
        return
    found = seen.findings(recordings)
    if as_json:
        click.echo(msgspec.json.encode({"findings": found, "cost": [it.cost for it in recordings]}))
        return
    _show(found, recordings)
    folder = Path(output or time.strftime("profile-%Y%m%d-%H%M%S"))
    click.echo(f"written to {folder}: {', '.join(_write(folder, recordings))}")


def _recordings(
    target: str, pid: int | None, question: str, seconds: float, rate: int
) -> list[seen.Recording]:
    try:
        _, plane = server_at(target)
    except MegahertzError as error:
        raise click.UsageError(str(error)) from error
    pids = [owner for _, owner, _ in plane.owners()] if pid is None else [pid]
    with Console(stderr=True).status(f"recording {len(pids)} workers for {seconds:g} s"):
        answers = ask_all(pids, question, timeout=seconds + BEYOND, seconds=seconds, rate=rate)
    recordings = []
    for answer in answers.values():
        if isinstance(answer, BackendError):
            click.echo(f"Error: {answer}", err=True)
        else:
            recordings.append(msgspec.json.decode(answer, type=seen.Recording))
    if not recordings:
        sys.exit(1)
    return recordings


def _write(folder: Path, recordings: Sequence[seen.Recording]) -> Iterable[str]:
    files: dict[str, Any] = {
        "flame.svg": seen.flame(recordings),
        "timeline.svg": seen.timeline(recordings),
        "profile.speedscope.json": seen.speedscope(recordings),
        "trace.json": seen.trace_events(recordings),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else msgspec.json.encode(content)
            (folder / name).write_bytes(data)
    except OSError as error:
        raise click.ClickException(f"{folder}: {error.strerror}") from error
    return files


def _show(found: Sequence[seen.Finding], recordings: Sequence[seen.Recording]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    for kind, title in TITLES.items():
        of_kind = [one for one in found if one.kind == kind]
        if of_kind:
            console.print(Text(title, "bold"))
            console.print(_table(of_kind, kind))
    if not found:
        console.print("nothing ran, and nobody waited")
    for line in _about(recordings):
        console.print(Text(line, "dim"))


def _table(found: Sequence[seen.Finding], kind: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    figures = {"blocks": ("times", "longest"), "waits": ("on average",), "runs": ("share",)}[kind]
    for name in ("seconds", *figures):
        table.add_column(name, justify="right")
    table.add_column("for", overflow="fold")
    table.add_column("at", overflow="fold")
    for one in found:
        told = {
            "blocks": (str(one.count), f"{one.longest:.3f}"),
            "waits": (f"{one.share:.2f}",),
            "runs": (f"{one.share:.1%}",),
        }[kind]
        table.add_row(f"{one.seconds:.3f}", *told, Text(one.route), Text(one.where))
    return table


def _about(recordings: Sequence[seen.Recording]) -> Iterable[str]:
    for one in recordings:
        lags = sorted(seconds for _, seconds in one.lags)
        late = f"{lags[int(len(lags) * 0.99)] * 1e3:.1f} ms" if lags else "not known"
        paused = sum(pause.seconds for pause in one.pauses)
        cost = one.cost
        yield (
            f"worker {one.pid}: loop idle {one.idle / one.seconds:.0%}, lag P99 {late}, "
            f"collector {paused * 1e3:.1f} ms in {len(one.pauses)} pauses, processor "
            f"{one.cpu / one.seconds:.0%}; recording it took "
            f"{(cost.thread + cost.loop) / one.seconds:.1%} of a processor, "
            f"{cost.taken} of {cost.wanted} looks"
            + (f", {one.left_out} left out" if one.left_out else "")
        )


def _show_heap(recordings: Sequence[seen.Recording], as_json: bool) -> None:
    sums: dict[str, seen.Growth] = {}
    for one in (it for recording in recordings for it in recording.growth):
        known = sums.setdefault(one.where, seen.Growth(where=one.where, bytes=0, blocks=0))
        known.bytes += one.bytes
        known.blocks += one.blocks
    found = sorted(sums.values(), key=lambda one: -one.bytes)
    if as_json:
        click.echo(msgspec.json.encode({"growth": found}))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("KiB", "blocks"):
        table.add_column(name, justify="right")
    table.add_column("got and kept by", overflow="fold")
    for one in found[:20]:
        table.add_row(f"{one.bytes / 1024:,.1f}", f"{one.blocks:,}", Text(one.where))
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
