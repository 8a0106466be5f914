"""Who balances best over backends that are not alike: `python -m benchmarks.balance`.

Three backends, each of which works at four requests at once, as a pool of workers or connections
does: one takes 5 ms, one ten times that, one 5 ms but answers 503 at once in every other second.
One caller asks at a steady rate, whatever is answered; what a call took counts from when it was
due. Health and retries are the same for every balancer; only who chooses differs.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import click

from benchmarks.build import Missing
from benchmarks.peer import Peer, imports, mhz_run
from benchmarks.plot import Bar, charts
from benchmarks.result import about, said, spreads, tell
from benchmarks.server import started
from megahertz import Client
from megahertz.errors import MegahertzError
from megahertz.govern import Retry, Upstream
from megahertz.govern.balance import (
    P2C,
    Balancer,
    Group,
    Health,
    Instance,
    LeastConnections,
    RoundRobin,
)
from megahertz.load import pair, pinned

DELAY = 0.005
TIMES = 10
"""How much slower the slow one is."""
TURN = 1.0
"""Seconds for which the flapping one is well, and then is not."""
SLOTS = 4
RATE = 200
"""Calls a second; the slow one can do 80 of them, either of the others 800."""
FAILED = "failed"

BACKENDS = {
    "fast": {"DELAY": str(DELAY), "TURN": "0"},
    "slow": {"DELAY": str(DELAY * TIMES), "TURN": "0"},
    "flapping": {"DELAY": str(DELAY), "TURN": str(TURN)},
}

APP = f"""
import asyncio
import os
import time

from megahertz import App, Response

app = App()
slots = asyncio.Semaphore({SLOTS})
delay, turn = float(os.environ["DELAY"]), float(os.environ["TURN"])


@app.get("/")
async def work() -> Response:
    if turn and int(time.monotonic() / turn) % 2:
        return Response("away", 503)
    async with slots:
        await asyncio.sleep(delay)
    return Response("done")
"""

BALANCERS: dict[str, Callable[[], Balancer]] = {
    "RoundRobin": RoundRobin,
    "LeastConnections": LeastConnections,
    "P2C": P2C,
}


@contextmanager
def backends() -> Iterator[dict[str, Instance]]:
    """All three, running."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        Path(folder, "balance_app.py").write_text(APP)
        command = mhz_run("balance_app:app")
        found = {}
        for name, told in BACKENDS.items():
            peer = Peer(name, lambda: command, imports(folder))
            server = stack.enter_context(started(peer, told))
            parts = urlsplit(server.base)
            found[name] = Instance(host=parts.hostname or "", port=parts.port or 0)
        yield found


async def measured(
    instances: dict[str, Instance], balancer: Balancer, seconds: float
) -> dict[str, float]:
    """One balancer: what calls took, and who got them."""
    health = Health(max_fails=2, fail_timeout=1.0)
    group = Group("work", instances.values(), balancer=balancer, health=health)
    taken: list[float] = []
    failed = 0

    async def call(due: float) -> None:
        nonlocal failed
        try:
            response = await client.get("/")
        except MegahertzError:
            failed += 1
            return
        failed += response.status_code != 200
        taken.append(time.monotonic() - due)

    async with (
        Client("http://work", upstream=Upstream(group, retry=Retry(3))) as client,
        asyncio.TaskGroup() as calls,
    ):
        for due in _due(seconds):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            calls.create_task(call(due))
    taken.sort()
    asked = {peer.name: peer.calls for peer in group.statistics()}
    total = sum(asked.values())
    shares = {name: asked[instance.name] / total for name, instance in instances.items()}
    return {
        **{f"p{part:g}": taken[int(len(taken) * part / 100)] for part in (50, 90, 99, 99.9)},
        **shares,
        FAILED: float(failed),
    }


def _due(seconds: float) -> Iterator[float]:
    """When each call is."""
    began = time.monotonic()
    return (began + number / RATE for number in range(int(seconds * RATE)))


def rounds_of(count: int, seconds: float) -> dict[str, Any]:
    """Every balancer in turn, several times, over the same backends."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in BALANCERS}
    cores = pair()
    with backends() as instances, pinned(cores[1] if cores else None):
        for _ in range(count):
            for name, make in BALANCERS.items():
                figures = asyncio.run(measured(instances, make(), seconds))
                click.echo(f"  {name:17} p99 {figures['p99'] * 1e3:7.1f} ms")
                for figure, value in figures.items():
                    found[name].setdefault(figure, []).append(value)
    return {name: spreads(figures) for name, figures in found.items()}


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    lines = [
        "| balancer | P50 | P99 | P99.9 | tries at the slow one | at the flapping one | failed |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, figures in found["balancers"].items():
        times = " | ".join(
            f"{figures[part]['median'] * 1e3:,.1f} ms" for part in ("p50", "p99", "p99.9")
        )
        shares = " | ".join(f"{figures[who]['median']:.1%}" for who in ("slow", "flapping"))
        lines.append(f"| {name} | {times} | {shares} | {figures[FAILED]['max']:,.0f} |")
    how = (
        f"`python -m benchmarks.balance`, {said(found)}; medians of {found['rounds']} rounds of "
        f"{found['seconds']:g} s (failed: the most of a round), {RATE} calls a second whatever is "
        f"answered, from when each was due; backends of {SLOTS} slots that take "
        f"{DELAY * 1e3:g} ms, {TIMES} times that, and {DELAY * 1e3:g} ms with every other second "
        "away."
    )
    return [*lines, "", how, "", "![P99 over unlike backends](../plots/balance.svg)"]


def picture(found: Any) -> str:
    """P99, and what the slow one got, by balancer."""
    waits, shares = [], []
    for name, figures in found["balancers"].items():
        ours = name != "RoundRobin"
        p99, slow = figures["p99"], figures["slow"]
        waits.append(Bar(name, p99, f"{p99['median'] * 1e3:,.1f} ms", ours))
        shares.append(Bar(name, slow, f"{slow['median']:.1%}", ours))
    return charts([("P99 of all calls", waits), ("tries at the slow one", shares)])


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=10.0, show_default=True, help="Of each balancer and round.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(rounds: int, seconds: float, keep: bool) -> None:
    """P99 over three backends, one ten times slower, one flapping, by balancer."""
    os.environ["NO_PROXY"] = "*"
    try:
        found = about("balance") | {"rounds": rounds, "seconds": seconds}
        found["balancers"] = rounds_of(rounds, seconds)
    except Missing as error:
        raise click.ClickException(str(error)) from error
    tell(found, table(found), keep=keep)


if __name__ == "__main__":
    main()
