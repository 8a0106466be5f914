"""`python -m benchmarks.idle`: what ten thousand open connections cost while nothing happens."""

import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import click

ASK = b"GET / HTTP/1.1\r\nHost: idle\r\n\r\n"
PAGE = resource.getpagesize()


def rss(pid: int) -> int:
    """Bytes of memory of the server."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def ticks(pid: int) -> int:
    """User and system time of the server, in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def asked(port: int) -> socket.socket:
    """A connection that has had one answer and stays open."""
    peer = socket.create_connection(("127.0.0.1", port))
    peer.sendall(ASK)
    peer.recv(4096)
    return peer


@click.command()
@click.option("--connections", default=10_000, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="To watch the CPU for.")
def main(connections: int, seconds: float) -> None:
    """Bytes of memory a connection, and CPU while all of them are idle."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    command = [sys.executable, "-m", "megahertz", "run", "examples.hello:app", "--port", "0"]
    command += ["--limit", "idle_timeout=600", "--log-level", "error"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        said = server.stdout.readline() if server.stdout else ""
        port = int(said.partition(" (")[0].rpartition(":")[2])
        for _ in range(1000):
            asked(port).close()
        before = rss(server.pid)
        peers = [asked(port) for _ in range(connections)]
        grown, used = rss(server.pid) - before, ticks(server.pid)
        time.sleep(seconds)
        click.echo(f"{grown / connections:.0f} bytes a connection, {connections:,} open")
        click.echo(f"{ticks(server.pid) - used} ticks of CPU in {seconds:g} s")
        for peer in peers:
            peer.close()
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    main()
