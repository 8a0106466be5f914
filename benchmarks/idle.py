"""What open connections cost while nothing happens; `python -m benchmarks.idle` for us alone."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from benchmarks.build import Missing
from benchmarks.limits import raise_limits
from benchmarks.method import Points, Tell, serving
from benchmarks.peer import OURS
from benchmarks.server import Server
from benchmarks.work import WORKS, Work
from megahertz.load import pair, pinned

ASK = b"GET / HTTP/1.1\r\nHost: idle\r\n\r\n"
FIRST = 1000
"""Connections that come and go before memory is looked at: the buffers that all share are there."""


def measure_idle(
    work: Work,
    running: Sequence[Server],
    missing: dict[str, str],
    *,
    seconds: float | None,
    tell: Tell,
) -> Points:
    """For each peer its share of a core without and with connections, and bytes for each."""
    long, results = seconds or work.seconds, {}
    tell(f"{work.name}: watching all without connections")
    shares = _watched(running, long)
    cores = pair()
    with pinned(cores[1] if cores else None):
        for point in work.points:
            at_point = results.setdefault(point.name, {})
            for server, share in zip(running, shares, strict=True):
                tell(f"{work.name}: {point.name} connections to {server.peer.name}", long)
                try:
                    found = _held(server, point.connections, long)
                except OSError as why:
                    missing[f"{server.peer.name} at {point.name}"] = str(why)
                    continue
                at_point[server.peer.name] = {"idle_cpu": [share], **found}
    return results


def _watched(running: Sequence[Server], seconds: float) -> list[float]:
    for server in running:
        server.resume()
    time.sleep(0.5)  # what being stopped has put off is done
    before = [server.usage().cpu for server in running]
    time.sleep(seconds)
    after = [server.usage().cpu for server in running]
    for server in running:
        server.pause()
    return [(late - early) / seconds for early, late in zip(before, after, strict=True)]


def _held(server: Server, connections: int, seconds: float) -> dict[str, list[float]]:
    server.resume()
    try:
        for _ in range(min(FIRST, connections)):
            _asked(server).close()
        before = server.usage()
        with _open(server, connections):
            first = server.usage()
            time.sleep(seconds)
            last = server.usage()
    finally:
        server.pause()
    grown = max(first.rss, last.rss) - before.rss
    return {"held_cpu": [(last.cpu - first.cpu) / seconds], "bytes": [grown / connections]}


@contextmanager
def _open(server: Server, connections: int) -> Iterator[None]:
    peers: list[socket.socket] = []
    try:
        while len(peers) < connections:
            peers.append(_asked(server))
        yield
    finally:
        for peer in peers:
            peer.close()


def _asked(server: Server) -> socket.socket:
    """A connection that has had one answer and stays open."""
    peer = socket.create_connection(("127.0.0.1", server.port), 10)
    try:
        peer.sendall(ASK)
        if not peer.recv(4096).startswith(b"HTTP/1.1 200"):
            raise ConnectionError("no answer to the first request of a connection")
    except OSError:
        peer.close()
        raise
    return peer


@click.command()
@click.option("--connections", default=10_000, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="To watch the CPU for.")
def main(connections: int, seconds: float) -> None:
    """Bytes of memory a connection, and CPU while all of them are idle."""
    raise_limits(connections)
    work, missing = WORKS["idle"], {}
    with serving(work, OURS[:1], missing, lambda _: None) as running:
        for why in missing.values():
            raise Missing(why)
        found = _held(running[0], connections, seconds)
    click.echo(f"{found['bytes'][0]:.0f} bytes a connection, {connections:,} open")
    click.echo(f"{found['held_cpu'][0] * seconds * 1e3:.1f} ms of CPU in {seconds:g} s")


if __name__ == "__main__":
    main()
