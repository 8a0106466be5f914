"""What idle WebSockets and a broadcast to all of them cost: `python -m benchmarks.sockets`.

The sockets are held by processes of their own (`--hold`), each from an address of its own: a
process may have some 20,000 descriptors, and an address some 28,000 ports. Bytes are the growth of
the workers' resident memory; the kernel's buffers are not in it. The time of a broadcast is from
the request for it to the last octet at the last socket, the holders' work included: on the same
machine they take their share of it, so CPU is told apart by process.
"""

import json
import os
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection

import click

from benchmarks.limits import raise_limits
from benchmarks.peer import Peer
from benchmarks.server import Server, started

MOST_HELD = 18_000
"""Sockets a process; see above."""

WARM = 1000
"""Sockets that come and go before memory is looked at: the buffers that all share are there."""

IP_BIND_ADDRESS_NO_PORT = 24
"""ip(7): connect chooses the port; bind looks for one that nobody has on any connection, and takes
milliseconds where many are taken."""

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
ASK = (
    "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Version: 13\r\n{KEY}\r\n\r\n"
)


def opened(port: int, path: str, address: str) -> socket.socket:
    """One WebSocket."""
    peer = socket.socket()
    peer.settimeout(20)
    peer.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    peer.bind((address, 0))
    peer.connect(("127.0.0.1", port))
    peer.sendall(ASK.format(path=path).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += peer.recv(4096)
    if not head.startswith(b"HTTP/1.1 101"):
        raise ConnectionError(f"no WebSocket: {head[:60]!r}")
    return peer


def hold(port: int, path: str, count: int, address: str) -> None:
    """Opens sockets, says so, and says for each broadcast when all have had it."""
    raise_limits(count)
    peers = {peer.fileno(): peer for peer in (opened(port, path, address) for _ in range(count))}
    poll = select.epoll()
    for peer in peers.values():
        peer.setblocking(False)
        poll.register(peer, select.EPOLLIN)
    print("ready", flush=True)
    for line in sys.stdin:
        left = dict.fromkeys(peers, int(line))
        while left:
            for descriptor, _ in poll.poll():
                left[descriptor] -= len(peers[descriptor].recv(1 << 20))
                if left[descriptor] == 0:
                    del left[descriptor]
        print(time.monotonic(), flush=True)


class Holders:
    """Processes that hold sockets, each time from other addresses: ports that were used rest for
    a minute (TIME_WAIT)."""

    made = 0

    def __init__(self, port: int, path: str, count: int) -> None:
        Holders.made += 1
        self._processes = []
        for index, start in enumerate(range(0, count, MOST_HELD)):
            share = min(MOST_HELD, count - start)
            options = ["--hold", str(share), "--port", str(port), "--path", path]
            command = [sys.executable, "-m", "benchmarks.sockets", *options]
            command += ["--address", f"127.{os.getpid() % 250 + 1}.{Holders.made}.{index + 2}"]
            self._processes.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
        for process in self._processes:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise ConnectionError("a holder did not get its sockets")

    def await_frame(self, octets: int) -> None:
        """From now on each socket is to get so many octets, a frame's head included."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.write(f"{octets}\n")
                process.stdin.flush()

    def last(self) -> float:
        """When the last socket of all had its last octet."""
        return max(
            float(process.stdout.readline()) for process in self._processes if process.stdout
        )

    def close(self) -> None:
        """Lets go of the sockets."""
        for process in self._processes:
            process.kill()
            process.communicate()


@contextmanager
def held(server: Server, path: str, count: int) -> Iterator[Holders]:
    """Sockets on it."""
    holders = Holders(int(server.base.rpartition(":")[2]), path, count)
    try:
        yield holders
    finally:
        holders.close()


def bytes_each(server: Server, path: str, count: int) -> float:
    """Of resident memory, for each of so many idle sockets."""
    with held(server, path, min(WARM, count)):
        pass
    time.sleep(0.5)
    before = server.usage().rss
    with held(server, path, count):
        time.sleep(0.5)
        return (server.usage().rss - before) / count


def broadcast(server: Server, holders: Holders, size: int) -> tuple[float, float]:
    """Seconds until all have it, and of the workers' CPU."""
    octets = size + (2 if size < 126 else 4 if size < 65_536 else 10)
    holders.await_frame(octets)
    before, began = server.usage().cpu, time.monotonic()
    connection = HTTPConnection(server.base.removeprefix("http://"), timeout=60)
    connection.request("GET", f"/say/{size}")
    connection.getresponse().read()
    connection.close()
    last = holders.last()
    return last - began, server.usage().cpu - before


def command(workers: int, connections: int) -> list[str]:
    """The server: pings are off, since one a socket in 20 s is a cost of its own."""
    target = "benchmarks.peers.python.sockets:app"
    options = ["--port", "{port}", "--workers", str(workers)]
    limits = ["--limit", f"connections={connections + 100}", "--limit", "ping_interval=0"]
    return [sys.executable, "-m", "megahertz", "run", target, *options, *limits]


@click.command()
@click.option("--sockets", default=10_000, show_default=True, help="Over all workers.")
@click.option("--workers", default=1, show_default=True)
@click.option("--size", default=100, show_default=True, help="Octets of the message.")
@click.option("--rounds", default=5, show_default=True, help="Broadcasts; the median is told.")
@click.option("--hold", type=int, hidden=True)
@click.option("--port", type=int, hidden=True)
@click.option("--path", hidden=True)
@click.option("--address", hidden=True)
def main(
    sockets: int,
    workers: int,
    size: int,
    rounds: int,
    hold: int | None,
    port: int,
    path: str,
    address: str,
) -> None:
    """Bytes an idle WebSocket, and time and CPU of a broadcast to all, as JSON."""
    if hold is not None:
        return _hold(port, path, hold, address)
    raise_limits(min(sockets, MOST_HELD))
    peer = Peer("sockets", lambda: command(workers, sockets))
    found = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "sockets": sockets,
        "workers": workers,
    }
    for name, route in (("bytes_idle", "/idle"), ("bytes_in_a_room", "/all")):
        with started(peer, {}) as server:
            found[name] = round(bytes_each(server, route, sockets))
    with started(peer, {}) as server, held(server, "/all", sockets) as holders:
        times, cpus = zip(*(broadcast(server, holders, size) for _ in range(rounds)), strict=True)
    found |= {
        "message": size,
        "broadcast_seconds": round(statistics.median(times), 4),
        "broadcast_cpu": round(statistics.median(cpus), 4),
    }
    click.echo(json.dumps(found, indent=2))


_hold = hold

if __name__ == "__main__":
    main()
