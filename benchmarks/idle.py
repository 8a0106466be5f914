"""`python -m benchmarks.idle`: what ten thousand open connections cost while nothing happens."""

import resource
import socket
import subprocess
import sys
import time

import click

from megahertz.load import usage

ASK = b"GET / HTTP/1.1\r\nHost: idle\r\n\r\n"


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
        before = usage(server.pid).rss
        peers = [asked(port) for _ in range(connections)]
        at_first = usage(server.pid)
        time.sleep(seconds)
        grown, used = at_first.rss - before, usage(server.pid).cpu - at_first.cpu
        click.echo(f"{grown / connections:.0f} bytes a connection, {connections:,} open")
        click.echo(f"{used * 1e3:.1f} ms of CPU in {seconds:g} s")
        for peer in peers:
            peer.close()
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    main()
