"""What good clients get while ten thousand slow ones are there: `python -m benchmarks.slow`.

A process of its own (`--attack`) keeps so many connections that do as little as they can: a request
head a byte a second, a body a byte a second, answers that nobody reads; over TLS, handshakes
that stop half way. Whoever is closed comes back at once. Good requests come on a schedule over 64
connections, without the slow ones and beside them, in turn.
"""

import itertools
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.limits import raise_limits
from benchmarks.peer import Peer, mhz_run
from benchmarks.result import about, said, save, spreads
from benchmarks.schedule import scheduled
from benchmarks.server import Server, started
from megahertz.load import pair, pinned

RATE = 40_000
"""Good requests a second, over 64 connections: a third of what the server can, and no more than the
generator can beside the slow clients, who share its core."""
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "
BODY = b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
READER = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
HANDSHAKE = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
PLAIN = (HEAD, BODY, READER)

APP = """
from megahertz import App, Request
app = App()
LARGE = bytes(1_000_000)

@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}

@app.get("/large")
async def large() -> bytes:
    return LARGE

@app.post("/sink")
async def sink(request: Request) -> int:
    return sum([len(piece) async for piece in request.stream()])
"""


class Slow:
    """One connection; `begin` again after it was closed."""

    def __init__(self, address: tuple[str, int], first: bytes, source: str) -> None:
        self.address, self.first, self.source = address, first, source

    def begin(self) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind((self.source, 0))
        sock.settimeout(20)
        sock.connect(self.address)
        sock.sendall(self.first)
        sock.setblocking(False)
        return sock


def attack(port: int, count: int, secure: bool) -> None:
    """Keeps the connections until it is ended; says "ready" when all are open."""
    raise_limits(count)
    firsts = itertools.cycle((HANDSHAKE,) if secure else PLAIN)
    poll, slow = select.epoll(), {}

    def begin(one: Slow) -> None:
        sock = one.begin()
        slow[sock.fileno()] = one, sock
        # Not reading is the point: only the end is looked for.
        poll.register(sock, select.EPOLLRDHUP)

    for index in range(count):
        begin(Slow(("127.0.0.1", port), next(firsts), f"127.0.0.{2 + index // 20_000}"))
    print("ready", flush=True)
    dribble = time.monotonic()
    while True:
        for descriptor, _ in poll.poll(0.05):
            one, sock = slow.pop(descriptor)
            poll.unregister(descriptor)
            sock.close()
            begin(one)
        if time.monotonic() > dribble + 1:
            dribble = time.monotonic()
            for one, sock in slow.values():
                if one.first is not READER:
                    _send(sock)


def _send(sock: socket.socket) -> None:
    try:
        sock.send(b"x")
    except OSError:
        pass  # closed: the poll tells


@contextmanager
def attacked(server: Server, count: int, secure: bool) -> Iterator[None]:
    """While so many slow clients are there."""
    options = ["--attack", str(count), "--port", f"{server.port}", *(["--tls"] if secure else [])]
    command = [sys.executable, "-m", "benchmarks.slow", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise ConnectionError("the slow clients did not get their connections")
        yield
        if process.poll() is not None:
            raise ConnectionError("the slow clients have gone")
    finally:
        process.kill()
        process.communicate()


def command(folder: Path, count: int, secure: bool) -> list[str]:
    """`mhz run` with room for all of them."""
    (folder / "slow_app.py").write_text(APP)
    options = ["--limit", f"connections={count + 1000}"]
    if secure:
        import trustme

        issued = trustme.CA().issue_cert("127.0.0.1")
        (folder / "chain.pem").write_bytes(issued.cert_chain_pems[0].bytes())
        (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
        options += ["--tls-cert", str(folder / "chain.pem")]
        options += ["--tls-key", str(folder / "key.pem")]
    return mhz_run("slow_app:app", *options)


def measure(
    server: Server, count: int, secure: bool, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Good answers of those asked for, and their P99 without slow clients and beside them."""
    url = f"{server.base.replace('http', 'https' if secure else 'http', 1)}/"
    found: dict[str, list[float]] = {"share": [], "p99_without": [], "p99_beside": []}
    for _ in range(rounds):
        found["p99_without"].append(scheduled(url, RATE, seconds)["latency"]["p99"])
        with attacked(server, count, secure):
            beside = scheduled(url, RATE, seconds)
        found["share"].append(beside["qps"] / RATE)
        found["p99_beside"].append(beside["latency"]["p99"])
    return found


def case(clients: int, secure: bool, rounds: int, seconds: float) -> dict[str, Any]:
    """What 64 good clients get beside so many slow ones of a kind."""
    cores = pair()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peer = Peer("slow", lambda: command(folder, clients, secure))
        with started(peer, {"PYTHONPATH": name}) as server, pinned(cores[1] if cores else None):
            figures = measure(server, clients, secure, rounds, seconds)
    kinds = "half-open TLS handshakes" if secure else "slow heads, slow bodies, slow readers"
    return {"slow": clients, "kinds": kinds, **spreads(figures)}


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    lines = [
        f"| slow clients | which | good answers of {RATE:,}/s | their P99 without | beside them |",
        "|---:|---|---:|---:|---:|",
    ]
    for each in found["cases"]:
        share, without, beside = (each[name] for name in ("share", "p99_without", "p99_beside"))
        lines.append(
            f"| {each['slow']:,} | {each['kinds']} "
            f"| {share['median']:.1%} ({share['min']:.1%} to {share['max']:.1%}) "
            f"| {without['median'] * 1e3:.2f} ms | {beside['median'] * 1e3:.2f} ms |"
        )
    how = (
        f"`python -m benchmarks.slow`, {said(found)}; medians of {found['rounds']} rounds, each of "
        f"{found['seconds']:g} s without and with them. The slow ones' own process shares the "
        "generator's core."
    )
    return [*lines, "", how]


@click.command()
@click.option("--clients", default=10_000, show_default=True, help="Slow ones.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="Of each half of a round.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
@click.option("--attack", "count", type=int, hidden=True)
@click.option("--port", type=int, hidden=True)
@click.option("--tls", is_flag=True, hidden=True)
def main(
    clients: int, rounds: int, seconds: float, keep: bool, count: int | None, port: int, tls: bool
) -> None:
    """What 64 good clients get beside slow ones, in the clear and over TLS."""
    if count is not None:
        return attack(port, count, tls)
    raise_limits(clients)
    found = {
        **about("slow"),
        "rounds": rounds,
        "seconds": seconds,
        "cases": [case(clients, secure, rounds, seconds) for secure in (False, True)],
    }
    click.echo("\n".join(table(found)))
    if keep:
        click.echo(save(found))


if __name__ == "__main__":
    main()
