"""A Redis of the benchmark's own: in memory, on the generator's core, gone afterwards."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socket import create_connection

from benchmarks.build import Missing, tool
from benchmarks.server import free_port
from megahertz.load import pair, pinned

SET = b"SET msg ok\r\n"


@contextmanager
def store() -> Iterator[dict[str, str]]:
    """Environment for the servers: where the Redis is that has `msg`.

    Raises:
        Missing: there is no redis-server, or it does not start.
    """
    port, cores = free_port(), pair()
    command = [tool("redis-server", "redis-server (Debian: apt-get install redis-server)")]
    command += ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with pinned(cores[1] if cores else None):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _fill(port)
        yield {"BENCH_REDIS": str(port)}
    finally:
        process.terminate()
        process.wait(10)


def _fill(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            with create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(SET)
                if connection.recv(64) == b"+OK\r\n":
                    return
        except OSError:
            pass
        if time.monotonic() > until:
            raise Missing("redis-server does not answer")
        time.sleep(0.02)
