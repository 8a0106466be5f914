"""The generator beside independent ones: `python -m benchmarks.saturate`.

Two questions. Does `mhz load` ask the C floor as often as wrk does, each on the same core and the
server on the other? And does it measure what others measure: percentiles of a closed loop beside
those of h2load, whose log has every request? The second server takes 2 to 20 ms, so that what is
compared is the measuring and not the generators' own queues: at the floor a generator is busy all
the time, and wrk begins to count only when it comes to write a request, we and h2load when the
answer before it has been read.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.build import ROOT, Missing, says, tool
from benchmarks.generator import Bad
from benchmarks.peer import FLOOR, Peer, peers
from benchmarks.result import about, said, save
from benchmarks.server import Server, started
from megahertz.load import pair, pinned

CONNECTIONS = 64
ENOUGH = 0.9
"""Of wrk's rate."""
CLOSE = 0.05
"""Of h2load's percentiles."""
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
H2LOAD = "h2load (Debian: apt-get install nghttp2-client)"

Figures = dict[str, float]


def wrk(url: str, seconds: int) -> Figures:
    """Answers a second."""
    text = _said("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url)
    if "Non-2xx" in text or "Socket errors" in text:
        raise Bad(f"{url}: {text}")
    return {"qps": float(text.partition("Requests/sec:")[2].split()[0])}


def h2load(url: str, seconds: int) -> Figures:
    """Percentiles out of its log: begin, status and microseconds of each request."""
    with TemporaryDirectory() as folder:
        log = Path(folder, "log")
        _said("h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"-D{seconds}", f"--log-file={log}", url)
        lines = [line.split() for line in log.read_text().splitlines()]
    if any(status != "200" for _, status, _ in lines):
        raise Bad(f"{url}: answers that are not 200")
    times = sorted(int(microseconds) for _, _, microseconds in lines)
    return {name: times[int(len(times) * q)] / 1e6 for name, q in QUANTILES.items()}


def ours(url: str, seconds: int) -> Figures:
    """Both."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        mhz = str(Path(sys.executable).parent / "mhz")
        options = ["-c", str(CONNECTIONS), "-d", str(seconds), "--warmup", "0", "--json", str(file)]
        _said(mhz, "load", url, *options)
        report = json.loads(file.read_text())
    return {"qps": report["qps"], **{name: report["latency"][name] for name in QUANTILES}}


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise Bad(f"{' '.join(command)}: {done.stdout[-400:]}{done.stderr[-400:]}")
    return done.stdout


Generator = Callable[[str, int], Figures]


def rounds(server: Server, both: dict[str, Generator], count: int, seconds: int) -> dict[str, Any]:
    """Medians of alternating rounds, after one second each that is thrown away."""
    seen: dict[str, list[Figures]] = {name: [] for name in both}
    cores = pair()
    with pinned(cores[1] if cores else None):
        for number in range(count + 1):
            for name, generator in both.items():
                figures = generator(f"{server.base}/", seconds if number else 1)
                if number:
                    seen[name].append(figures)
    return {name: _medians(figures) for name, figures in seen.items()}


def _medians(figures: list[Figures]) -> Figures:
    return {key: statistics.median(each[key] for each in figures) for key in figures[0]}


def measure(count: int, seconds: int) -> dict[str, Any]:
    """Everything, as plain data."""
    tool("wrk", "wrk (Debian: apt-get install wrk)")
    tool("h2load", H2LOAD)
    command = [str(Path(sys.executable).parent / "mhz"), "run", "benchmarks.delays:app"]
    delays = Peer("delays", lambda: [*command, "--port", "{port}"])
    with started(peers()[FLOOR], {}) as server:
        rate = rounds(server, {"wrk": wrk, "mhz load": ours}, count, seconds)
    with started(delays, {}) as server:
        times = rounds(server, {"h2load": h2load, "mhz load": ours}, count, seconds)
    ratio = rate["mhz load"]["qps"] / rate["wrk"]["qps"]
    apart = {name: times["mhz load"][name] / times["h2load"][name] - 1 for name in QUANTILES}
    return {
        **about("generator"),
        "versions": {"wrk": says("wrk", "-v"), "h2load": says("h2load", "--version")},
        "method": {"rounds": count, "seconds": seconds, "connections": CONNECTIONS},
        "rate": rate,
        "times": times,
        "ratio": ratio,
        "apart": apart,
        "holds": ratio >= ENOUGH and all(abs(each) <= CLOSE for each in apart.values()),
    }


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    rate, times, method = found["rate"], found["times"], found["method"]
    lines = [
        "| | independent | `mhz load` | |",
        "|---|---:|---:|---:|",
        f"| answers/s of the C floor, beside wrk | {rate['wrk']['qps']:,.0f} "
        f"| {rate['mhz load']['qps']:,.0f} | x {found['ratio']:.2f} |",
    ]
    lines += [
        f"| {name} of a service that takes 2 to 20 ms, beside h2load "
        f"| {times['h2load'][name] * 1e3:.2f} ms | {times['mhz load'][name] * 1e3:.2f} ms "
        f"| {found['apart'][name]:+.1%} |"
        for name in QUANTILES
    ]
    how = (
        f"`python -m benchmarks.saturate`, {said(found)}, load {found['machine']['load']}; "
        f"one thread, {method['connections']} connections, server and generator on a core each, "
        f"medians of {method['rounds']} alternating rounds of {method['seconds']} s."
    )
    return [*lines, "", how]


@click.command()
@click.option("--rounds", "count", default=5, show_default=True)
@click.option("--seconds", default=3, show_default=True, help="Of a round; whole ones.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(count: int, seconds: int, keep: bool) -> None:
    """Exit code 1 where the generator is slower than 0.9 of wrk or 5 % off h2load."""
    try:
        found = measure(count, seconds)
    except (Missing, Bad) as why:
        raise click.ClickException(str(why)) from why
    click.echo("\n".join(table(found)))
    if keep:
        click.echo(save(found))
    raise SystemExit(0 if found["holds"] else 1)


if __name__ == "__main__":
    main()
