"""A Redis, or a cluster of six, of the benchmark's own: in memory, gone afterwards.

On the generator's core, as far as there are two.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from socket import create_connection
from tempfile import TemporaryDirectory

from benchmarks.build import Missing, run, tool
from benchmarks.peers.python.stores import KEYS
from benchmarks.server import free_port
from megahertz.load import pair, pinned

SET = b"SET msg ok\r\n"
PING = b"PING\r\n"
INFO = b"CLUSTER INFO\r\n"


@contextmanager
def store() -> Iterator[dict[str, str]]:
    """Environment for the servers: where the Redis is that has `msg`.

    Raises:
        Missing: there is no redis-server, or it does not start.
    """
    with _started(free_port()) as port:
        _until(lambda: _said(port, SET) == b"+OK\r\n", "redis-server does not answer")
        yield {"BENCH_REDIS": str(port)}


@contextmanager
def cluster(*options: str) -> Iterator[dict[str, str]]:
    """The same of a cluster of three masters with a replica each, that has `msg:0` and so on.

    Args:
        options: of each server, beside ours.

    Raises:
        Missing: there is no redis-server or redis-cli, or they do not agree.
    """
    with TemporaryDirectory() as folder, ExitStack() as stack:
        ports = [
            stack.enter_context(
                _started(port, "--cluster-enabled", "yes", "--dir", folder, *options)
            )
            for port in islice(_with_bus(), 6)
        ]
        for port in ports:
            _until(lambda port=port: _said(port, PING) == b"+PONG\r\n", "a node does not answer")
        cli = tool("redis-cli", "redis-cli (Debian: apt-get install redis-tools)")
        places = [f"127.0.0.1:{port}" for port in ports]
        run(cli, "--cluster", "create", *places, "--cluster-replicas", "1", "--cluster-yes")
        for port in ports:
            _until(lambda port=port: b"cluster_state:ok" in _said(port, INFO), "no cluster")
        _fill(ports)
        yield {"BENCH_CLUSTER": str(ports[0])}


def _with_bus() -> Iterator[int]:
    """Free ports, the bus of each of which is one too: 10,000 above."""
    while True:
        if (port := free_port()) < 55_000:
            yield port


def _fill(ports: list[int]) -> None:
    """Each node is asked for all of them, and takes its own."""
    for port in ports:
        words = "".join(f"SET {key} ok\r\n" for key in KEYS)
        with create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(words.encode())
            left = len(KEYS)
            while left:
                left -= connection.recv(65536).count(b"\n")


def told(port: int, *words: str) -> str:
    """What a node replies, as it is on the wire; nothing where it does not."""
    return _said(port, (" ".join(words) + "\r\n").encode()).decode(errors="replace")


STORES = {"one": store, "cluster": cluster}
"""By what a work asks for."""


@contextmanager
def _started(port: int, *options: str) -> Iterator[int]:
    cores = pair()
    command = [tool("redis-server", "redis-server (Debian: apt-get install redis-server)")]
    command += ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    if options:
        command += [*options, "--cluster-config-file", f"nodes-{port}.conf"]
    with pinned(cores[1] if cores else None):
        process = subprocess.Popen([*command], stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _said(port: int, words: bytes) -> bytes:
    try:
        with create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(words)
            return connection.recv(65536)
    except OSError:
        return b""


def _until(holds: Callable[[], bool], why: str) -> None:
    until = time.monotonic() + 20
    while not holds():
        if time.monotonic() > until:
            raise Missing(why)
        time.sleep(0.02)
