"""WebSockets that are held by processes of their own, each from an address of its own: a process
may have some 20,000 descriptors, and an address some 28,000 ports."""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from benchmarks.limits import raise_limits
from benchmarks.server import Server

MOST_HELD = 10_000
"""Sockets a process; see above. connect(2) takes every other port of an address first, and looks
for one that is free from a random one on: it crawls as 14,116 come near."""

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
            options = ["--count", str(share), "--port", str(port), "--path", path]
            command = [sys.executable, "-m", "benchmarks.holders", *options]
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
    holders = Holders(server.port, path, count)
    try:
        yield holders
    finally:
        holders.close()


@click.command()
@click.option("--count", type=int, required=True)
@click.option("--port", type=int, required=True)
@click.option("--path", required=True)
@click.option("--address", required=True)
def main(count: int, port: int, path: str, address: str) -> None:
    """One of the processes."""
    hold(port, path, count, address)


if __name__ == "__main__":
    main()
