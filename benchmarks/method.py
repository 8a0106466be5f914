"""How it is measured.

All servers are up at once, on core 0; the generator is on core 1. Each round asks every server in
turn (A B C A B C), so that a slow minute of the machine falls on all of them, and takes the CPU of
the server's process tree before and after. Medians of the rounds are compared, never figures of
different runs.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from tempfile import TemporaryFile

from benchmarks.generator import Generator
from benchmarks.peer import Missing, Peer
from megahertz.load import pair, pinned, usage

EXPECTED = {"msg": "ok"}


@dataclass
class Measured:
    """One peer's rounds.

    Attributes:
        cpu_us: microseconds of server CPU a request, by round.
        rps: answers a second, by round.
        rss: resident bytes after the last round.
    """

    cpu_us: list[float] = field(default_factory=list)
    rps: list[float] = field(default_factory=list)
    rss: int = 0


@dataclass(frozen=True)
class Running:
    """A peer that answers."""

    peer: Peer
    pid: int
    url: str


def measure(
    running: Sequence[Running],
    generator: Generator,
    *,
    rounds: int,
    seconds: float,
    tell: Callable[[str], None],
) -> dict[str, Measured]:
    """Interleaved rounds over all; one more, first, warms up and is thrown away."""
    results = {server.peer.name: Measured() for server in running}
    cores = pair()
    with pinned(cores[1] if cores else None):
        for number in range(rounds + 1):
            for server in running:
                tell(f"round {number} of {rounds}: {server.peer.name}")
                _round(server, generator, seconds, results[server.peer.name] if number else None)
    return results


def _round(server: Running, generator: Generator, seconds: float, into: Measured | None) -> None:
    before = usage(server.pid)
    answers, rate = generator(server.url, seconds if into is not None else 1.0)
    after = usage(server.pid)
    if into is not None:
        into.cpu_us.append((after.cpu - before.cpu) / answers * 1e6)
        into.rps.append(rate)
        into.rss = after.rss


@contextmanager
def serving(peers: Sequence[Peer], tell: Callable[[str], None]) -> Iterator[list[Running]]:
    """Builds and starts all; what cannot run is told and left out."""
    with ExitStack() as stack:
        running = []
        for peer in peers:
            try:
                running.append(stack.enter_context(_server(peer)))
            except Missing as why:
                tell(f"without {peer.name}: {why}")
        yield running


@contextmanager
def _server(peer: Peer) -> Iterator[Running]:
    port = _free_port()
    command = [word.format(port=port) for word in peer.build()]
    cores = pair()
    with TemporaryFile() as said:
        with pinned(cores[0] if cores else None):
            process = subprocess.Popen(
                command, env=os.environ | peer.environment, stdout=said, stderr=said
            )
        try:
            if not _answers(process, port):
                said.seek(0)
                raise Missing(f"did not answer: {said.read().decode().strip()[-400:]}")
            yield Running(peer, process.pid, f"http://127.0.0.1:{port}/")
        finally:
            process.terminate()
            process.wait(10)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        try:
            _check(port)
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def _check(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        body = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 200 or body != EXPECTED:
        raise Missing(f"answers {answer.status} {body!r} instead of {EXPECTED}")
