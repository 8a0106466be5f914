"""What passing an answer on costs: `python -m benchmarks.relay`.

nginx serves files on the generator's core; who is measured stands in front of it on the other, and
is asked for one size after the other over so many connections, each of which asks again when it has
its answer. In each round everybody has a turn (A B C A B C); medians of the rounds are compared.
"""

import os
import selectors
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from benchmarks.build import python_version, says
from benchmarks.peer import Peer, mhz_run, nginx
from benchmarks.result import about, said, spreads, tell
from benchmarks.server import Server, started
from megahertz.load import pair, pinned, tree

NAME = "relay"
APP = "benchmarks.peers.python.relaying:app"
SIZES = {"4 KiB": 4 << 10, "64 KiB": 64 << 10, "256 KiB": 256 << 10, "10 MiB": 10 << 20}
OURS, PIECES, NGINX = "RelayResponse", "iterator in Python", "nginx"
WAYS = {OURS: "files", PIECES: "pieces", NGINX: "files"}
"""The path that each is asked under."""

CONNECTIONS = 16
ROUND = 96 << 20
"""Octets of a turn, but at most so many requests."""
REQUESTS = 6000


class Connection:
    """One that asks for a file again and again."""

    def __init__(self, port: int, target: str, size: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ask = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self._size, self._left, self._head = size, 0, b""

    def ask(self) -> None:
        """Once."""
        self._left, self._head = -1, b""
        self.socket.sendall(self._ask)

    def read(self, room: memoryview) -> bool:
        """What has come; whether that was all of it."""
        count = self.socket.recv_into(room)
        if not count:
            raise ConnectionError("the connection was closed")
        if self._left < 0:
            self._head += room[:count]
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return False
            if not head.startswith(b"HTTP/1.1 200") or self._length(head) != self._size:
                raise ConnectionError(head.decode(errors="replace"))
            self._left, count = self._size, len(rest)
        self._left -= count
        return self._left == 0

    def _length(self, head: bytes) -> int:
        name, _, rest = head.lower().partition(b"content-length:")
        return int(rest.split(b"\r\n")[0]) if name else -1


def ask(port: int, target: str, size: int, count: int) -> None:
    """So many requests, over all connections together."""
    room = memoryview(bytearray(256 * 1024))
    with ExitStack() as stack, selectors.DefaultSelector() as waiting:
        for _ in range(min(CONNECTIONS, count)):
            connection = Connection(port, target, size)
            stack.callback(connection.socket.close)
            waiting.register(connection.socket, selectors.EVENT_READ, connection)
            connection.ask()
            count -= 1
        running = len(waiting.get_map())
        while running:
            for key, _ in waiting.select(20):
                if key.data.read(room):
                    if count:
                        key.data.ask()
                        count -= 1
                    else:
                        running -= 1


def _nginx(template: str, place: Path, origin: int = 0) -> Peer:
    return Peer(NGINX, lambda: nginx(template, place, origin))


def _ours(origin: int) -> Peer:
    environment = {"BENCH_ORIGIN": f"http://127.0.0.1:{origin}"}
    return Peer("ours", lambda: mhz_run(APP, "--log-level", "error"), environment)


def running(stack: ExitStack) -> dict[str, Server]:
    """Whom to ask, by the way that it passes on."""
    place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    place.chmod(0o755)  # nginx's worker is nobody
    for name, size in SIZES.items():
        (place / _file(name)).write_bytes(bytes(range(256)) * (size // 256))
    origin = stack.enter_context(started(_nginx("nginx.conf", place), {}))
    cores = pair()
    for pid in tree(origin.pid) if cores else ():
        os.sched_setaffinity(pid, {cores[1]})
    ours = stack.enter_context(started(_ours(origin.port), {}))
    proxy = stack.enter_context(started(_nginx("proxy.conf", place, origin.port), {}))
    stack.enter_context(pinned(cores[1] if cores else None))
    return {OURS: ours, PIECES: ours, NGINX: proxy}


def _file(size: str) -> str:
    return size.replace(" ", "") + ".bin"


def rounds(count: int, share: float) -> Iterator[tuple[str, str, float]]:
    """Size, way, and microseconds of CPU a request."""
    with ExitStack() as stack:
        servers = running(stack)
        for number in range(count + 1):
            for name, size in SIZES.items():
                for way, server in servers.items():
                    requests = max(2, int(min(REQUESTS, ROUND // size) * share))
                    target = f"/{WAYS[way]}/{_file(name)}"
                    before = server.usage().cpu
                    ask(server.port, target, size, requests)
                    if number:  # the first is for caches
                        yield name, way, (server.usage().cpu - before) / requests * 1e6


def measure(count: int, share: float) -> dict[str, Any]:
    """All sizes and ways in turn, so many times."""
    figures: dict[str, dict[str, dict[str, list[float]]]] = {}
    for size, way, cpu in rounds(count, share):
        figures.setdefault(size, {}).setdefault(way, {"cpu_us": []})["cpu_us"].append(cpu)
    return {
        **about(NAME),
        "method": {"rounds": count, "connections": CONNECTIONS, "share": share},
        "versions": {"nginx": says("nginx", "-v"), "megahertz": python_version()},
        "sizes": {
            size: {way: spreads(its) for way, its in ways.items()} for size, ways in figures.items()
        },
    }


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    lines = ["| body | by | us of CPU a request | least to most | us a MiB | over nginx's |"]
    lines.append("|---|---|---:|---:|---:|---:|")
    for size, ways in found["sizes"].items():
        for way, its in ways.items():
            cpu, against = its["cpu_us"], ways[NGINX]["cpu_us"]["median"]
            mib = cpu["median"] / SIZES[size] * (1 << 20)
            ratio = "" if way == NGINX else f"{cpu['median'] / max(against, 1e-9):.2f}"
            lines.append(
                f"| {size} | {way} | {cpu['median']:,.0f} | {cpu['min']:,.0f} to "
                f"{cpu['max']:,.0f} | {mib:,.0f} | {ratio} |"
            )
    versions = ", ".join(found["versions"].values())
    how = (
        f"`python -m benchmarks.relay`, {said(found)}; {versions}; from nginx's files, "
        f"{found['method']['connections']} connections, medians of {found['method']['rounds']} "
        "rounds."
    )
    return [*lines, "", how]


@click.command()
@click.option("--rounds", "count", default=5, show_default=True)
@click.option("--share", default=1.0, show_default=True, help="Of the requests of each turn.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(count: int, share: float, keep: bool) -> None:
    """CPU of a request whose answer is passed on, beside nginx and a loop in Python."""
    found = measure(count, share)
    tell(found, table(found), keep=keep)


if __name__ == "__main__":
    main()
