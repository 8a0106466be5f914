"""A backend that is down for a minute: `python -m benchmarks.outage`.

A route asks a backend, which fails for sixty seconds and is well again; requests come 200 times a
second throughout. What each was answered by, and when, tells how long the breaker took to open, how
often the backend was asked meanwhile, and how long it took to close.
"""

import http.client
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.peer import Peer, imports, mhz_run
from benchmarks.result import about, said, save
from benchmarks.server import Server, started

APP = """
from megahertz import AdaptiveBreaker, App, Breaker, HTTPError, Policy

app = App()
backend = {"up": True, "asked": 0}

async def ask() -> str:
    backend["asked"] += 1
    if not backend["up"]:
        raise HTTPError(502, "the backend is down")
    return "fresh"

@app.get("/ratio", policy=Policy(breaker=Breaker(0.6, 100, 2.0, fallback="cached")))
async def ratio() -> str:
    return await ask()

@app.get("/adaptive", policy=Policy(breaker=AdaptiveBreaker(fallback="cached")))
async def adaptive() -> str:
    return await ask()

@app.get("/switch")
async def switch(up: bool) -> int:
    backend["up"] = up
    asked, backend["asked"] = backend["asked"], 0
    return asked
"""

RATE = 200


class Caller:
    """Requests on a schedule, over one connection; notes what answered each, and when."""

    def __init__(self, server: Server, path: str) -> None:
        self._path = path
        self._http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        self.seen: list[tuple[float, str]] = []

    def get(self, path: str) -> str:
        """The body, or the status of an error."""
        self._http.request("GET", path)
        answer = self._http.getresponse()
        body = answer.read().decode()
        return body if answer.status < 400 else str(answer.status)

    def call(self, seconds: float) -> None:
        """So long."""
        began = time.monotonic()
        for number in range(int(seconds * RATE)):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            self.seen.append((time.monotonic(), self.get(self._path)))

    def close(self) -> None:
        """Ends the connection."""
        self._http.close()


def run(server: Server, path: str, down: float) -> dict[str, float]:
    """One outage."""
    caller = Caller(server, path)
    try:
        caller.call(3.0)
        began = time.monotonic()
        caller.get("/switch?up=false")
        caller.call(down)
        well = time.monotonic()
        asked = int(caller.get("/switch?up=true"))
        caller.call(8.0)
    finally:
        caller.close()
    outage = [(at - began, what) for at, what in caller.seen if began <= at < well]
    after = [(at - well, what) for at, what in caller.seen if at >= well]
    last = max((at for at, what in after if what != "fresh"), default=0.0)
    return {
        "opened": next(at for at, what in outage if what == "cached"),
        "cached": sum(what == "cached" for _, what in outage) / len(outage),
        "asked": asked / down,
        "first": next(at for at, what in after if what == "fresh"),
        "closed": last,
    }


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    lines = [
        "| breaker | first fallback after | answered by it | backend asked a second "
        "| first fresh answer after | all fresh after |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, it in found["runs"].items():
        lines.append(
            f"| {name} | {it['opened']:.2f} s | {it['cached']:.1%} | {it['asked']:.1f} "
            f"| {it['first']:.2f} s | {it['closed']:.2f} s |"
        )
    how = (
        f"`python -m benchmarks.outage`, {said(found)}; {RATE} requests a second, the backend down "
        f"for {found['down']:g} s."
    )
    return [*lines, "", how]


@click.command()
@click.option("--down", default=60.0, show_default=True, help="Seconds.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(down: float, keep: bool) -> None:
    """What callers get while a backend is down, and after."""
    with TemporaryDirectory() as folder:
        Path(folder, "outage_app.py").write_text(APP)
        command = mhz_run("outage_app:app")
        peer = Peer("outage", lambda: command, imports(folder))
        with started(peer, {}) as server:
            runs = {name: run(server, f"/{name}", down) for name in ("ratio", "adaptive")}
    found = about("outage") | {"down": down, "runs": runs}
    click.echo("\n".join(table(found)))
    if keep:
        click.echo(save(found))


if __name__ == "__main__":
    main()
