"""Ten minutes without a fault, in which nothing may be told: `python -m benchmarks.clean`.

A detector that cries wolf is switched off. So a service that does what services do (JSON, a handler
that waits, one in a thread, a journal, a log, sampled traces, metrics that are scraped) is asked
for ten minutes, and afterwards no leak, no blocked loop, no figure above its threshold and no alert
may have been told. Windows of the leak detector are 60 s instead of 300, so that it judges six
times and not never. Exit code 1 where something was told.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.peer import Peer, imports, mhz_run
from benchmarks.result import about, said, save
from benchmarks.server import started
from megahertz.load import pair, pinned

APP = """
import asyncio, dataclasses, os, time
import msgspec
from megahertz import App, Response
from megahertz.data import WriteBehind
from megahertz.observe import Logs, Runtime, Sampling, Tracing
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

class Nowhere(SpanExporter):
    def export(self, spans):
        return SpanExportResult.SUCCESS

class Order(msgspec.Struct):
    id: int

events = []
runtime = Runtime(leaks=float(os.environ["CLEAN_WINDOW"]), on_event=events.append)

async def sink(batch):
    await asyncio.sleep(0.001)

# Its memory of keys is bounded like any cache, and full before the first window is over.
orders = WriteBehind(
    os.environ["CLEAN_JOURNAL"], sink, type=Order, key=lambda order: order.id, window=1024
)
recent = {}
logs = Logs(Sampling(info=0.001), fd=os.open(os.devnull, os.O_WRONLY))
app = App(
    metrics_url="/metrics",
    layers=[Tracing(0.01, exporter=Nowhere()), logs],
    resources=[runtime, orders],
)
count = 0

@app.get("/items/{sku}")
async def item(sku: int) -> dict[str, object]:
    if len(recent) > 1000:
        recent.clear()  # a cache, bounded
    recent[sku] = [sku] * 10
    return {"sku": sku, "names": ["a", "b"]}

@app.get("/wait")
async def wait() -> str:
    await asyncio.sleep(0.01)
    return "waited"

@app.get("/thread")
def thread() -> str:
    time.sleep(0.002)
    return "worked"

@app.post("/orders")
async def order() -> int:
    global count
    count += 1
    await orders.put(Order(count))
    return count

@app.get("/told")
async def told() -> Response:
    seen = runtime.statistics()
    found = {
        "told": [repr(event) for event in events],
        "lag": seen.longest_lag, "gc": seen.gc.seconds, "memory": seen.memory, "tasks": seen.tasks,
    }
    return Response(msgspec.json.encode(found), media_type="application/json")
"""

LOADS = (
    ("/items/{rand:1-5000}", "300", "16", "GET"),
    ("/wait", "100", "8", "GET"),
    ("/thread", "50", "4", "GET"),
    ("/orders", "100", "8", "POST"),
)
"""Path, requests a second, connections, method."""

SCRAPE = 5.0
"""Seconds between two scrapes."""

WINDOW = 60.0
"""Seconds of a window of the leak detector."""


def loads(base: str, seconds: float, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A generator for each kind of request."""
    for number, (path, rate, connections, method) in enumerate(LOADS):
        command = [sys.executable, "-m", "megahertz", "load", f"{base}{path}", "-X", method]
        options = ["--rate", rate, "-c", connections, "-d", f"{seconds}"]
        file = ["--json", str(folder / f"load-{number}.json")]
        nowhere = subprocess.DEVNULL
        yield subprocess.Popen([*command, *options, *file], stdout=nowhere, stderr=nowhere)


def ask(url: str) -> bytes:
    """The body."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        return bytes(answer.read())


def counted(text: str, name: str) -> float:
    """The sum of a metric."""
    lines = (line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


TROUBLE = ("blocked", "alarms", "leaks", "log_dropped", "journal_failures", "worker_failures")
"""Counters that stay where they are."""


def run(base: str, seconds: float, folder: Path) -> dict[str, Any]:
    """Load until it is over, scraped meanwhile; what was told by then."""
    with ExitStack() as stack:
        asking = [stack.enter_context(process) for process in loads(base, seconds, folder)]
        while any(process.poll() is None for process in asking):
            ask(f"{base}/metrics")
            time.sleep(SCRAPE)
    text = ask(f"{base}/metrics").decode()
    troubles = {name: counted(text, f"megahertz_{name}_total") for name in TROUBLE}
    failed = [line for line in text.splitlines() if 'status="5xx"' in line and line[-2:] != " 0"]
    found: dict[str, Any] = json.loads(ask(f"{base}/told"))
    return {
        **found,
        "requests": counted(text, "megahertz_requests_total"),
        "troubles": {name: count for name, count in troubles.items() if count},
        "failed": failed,
        "loads": [process.returncode for process in asking],
    }


def is_clean(noted: dict[str, Any]) -> bool:
    """Whether nobody has told anything."""
    return not (noted["told"] or noted["troubles"] or noted["failed"] or any(noted["loads"]))


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    noted = found["noted"]
    rows = [
        ("requests", f"{noted['requests']:,.0f}"),
        ("told: leaks, blocked turns, thresholds", f"{len(noted['told'])}"),
        ("counters of trouble that are not 0", f"{noted['troubles'] or 'none'}"),
        ("answers of 500 and above", f"{len(noted['failed'])}"),
        ("the longest lag of the loop", f"{noted['lag'] * 1e3:.1f} ms"),
        ("the collector, in all", f"{noted['gc'] * 1e3:.1f} ms"),
        ("memory at the end", f"{noted['memory'] / 1e6:.1f} MB"),
    ]
    lines = ["| what | counted |", "|---|---:|", *(f"| {a} | {b} |" for a, b in rows)]
    lines += [f"- told: {event}" for event in noted["told"]]
    how = f"`python -m benchmarks.clean`, {said(found)}; {found['seconds']:g} s."
    return [*lines, "", how]


@click.command()
@click.option("--seconds", default=600.0, show_default=True)
@click.option("--window", default=WINDOW, show_default=True, help="Of the leak detector.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(seconds: float, window: float, keep: bool) -> None:
    """Asks a service without a fault, and tells what was told of it."""
    with TemporaryDirectory() as folder:
        Path(folder, "clean_app.py").write_text(APP)
        command = mhz_run("clean_app:app")
        environment = imports(folder) | {
            "CLEAN_WINDOW": f"{window}",
            "CLEAN_JOURNAL": f"{folder}/journal",
        }
        peer = Peer("clean", lambda: command, environment)
        cores = pair()
        with started(peer, {}) as server, pinned(cores[1] if cores else None):
            noted = run(server.base, seconds, Path(folder))
        found = about("clean") | {"seconds": seconds, "window": window, "noted": noted}
    click.echo("\n".join(table(found)))
    if keep:
        click.echo(save(found))
    sys.exit(0 if is_clean(noted) else 1)


if __name__ == "__main__":
    main()
