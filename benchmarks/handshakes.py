"""What TLS costs, by how much of a handshake is done: `python -m benchmarks.handshakes`.

One client opens a connection, asks once and leaves, again and again: what a kind costs beside the
others is its handshake. Python's ssl (OpenSSL) is the client, on the generator's core; CPU is the
server's. A kept connection asks all of its requests on one.
"""

import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import click
import trustme

from benchmarks.peer import Peer, mhz_run
from benchmarks.result import about, said, spreads, tell
from benchmarks.server import Server, started
from megahertz.load import pair, pinned

ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
APP = "benchmarks.peers.python.ours:app"


@dataclass(frozen=True)
class Kind:
    """One row.

    Attributes:
        what: for readers.
        key: of the certificate; None is no TLS.
        version: the only one that the client speaks.
        resumes: with a ticket of an earlier connection.
        keeps: one connection for all requests.
    """

    what: str
    key: str | None = None
    version: ssl.TLSVersion = NEW
    resumes: bool = False
    keeps: bool = False


KINDS = (
    Kind("no TLS"),
    Kind("TLS 1.3, RSA 2048, whole", "RSA"),
    Kind("TLS 1.3, ECDSA P-256, whole", "ECDSA"),
    Kind("TLS 1.3, resumed", "ECDSA", resumes=True),
    Kind("TLS 1.2, ECDSA P-256, whole", "ECDSA", OLD),
    Kind("TLS 1.2, resumed", "ECDSA", OLD, resumes=True),
    Kind("TLS 1.3, connection kept", "ECDSA", keeps=True),
    Kind("no TLS, connection kept", keeps=True),
)


class Client:
    """Asks one server in one way."""

    def __init__(self, kind: Kind, port: int, authority: trustme.CA) -> None:
        self._kind, self._port = kind, port
        self._context = ssl.create_default_context()
        self._context.minimum_version = self._context.maximum_version = kind.version
        authority.configure_trust(self._context)

    def ask(self, count: int) -> None:
        """So many requests; ConnectionError where a session was to be resumed and was not."""
        if self._kind.keeps:
            with self._connected(None) as peer:
                for _ in repeat(None, count):
                    _ask(peer)
            return
        session = None
        for _ in repeat(None, count):
            with self._connected(session) as peer:
                _ask(peer)
                session = self._session(peer, session)

    def _connected(self, session: ssl.SSLSession | None) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", self._port), 10)
        # As every client of HTTP does: else a request waits for the ACK of the handshake's end.
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._kind.key is None:
            return peer
        return self._context.wrap_socket(peer, server_hostname="localhost", session=session)

    def _session(self, peer: socket.socket, used: ssl.SSLSession | None) -> ssl.SSLSession | None:
        if not self._kind.resumes or not isinstance(peer, ssl.SSLSocket):
            return None
        if used is not None and not peer.session_reused:
            raise ConnectionError(f"{self._kind.what}: the session was not resumed")
        return peer.session


def _ask(peer: socket.socket) -> None:
    peer.sendall(ASK)
    if not peer.recv(4096).startswith(b"HTTP/1.1 200"):
        raise ConnectionError("no answer")


def servers(stack: ExitStack, authority: trustme.CA) -> dict[str | None, Server]:
    """One without TLS and one for each kind of key."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    found: dict[str | None, Server] = {}
    for key in (None, "ECDSA", "RSA"):
        options: list[str] = []
        if key:
            options = tls_options(authority, key, folder)
        peer = Peer(f"ours {key}", _command(options))
        found[key] = stack.enter_context(started(peer, {}))
    return found


def tls_options(authority: trustme.CA, key: str, folder: Path) -> list[str]:
    """What has `mhz run` serve TLS with a certificate of that kind of key, written to `folder`."""
    issued = authority.issue_cert("localhost", key_type=trustme.KeyType[key])
    chain, private = folder / f"{key}.pem", folder / f"{key}.key"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    private.write_bytes(issued.private_key_pem.bytes())
    return ["--tls-cert", str(chain), "--tls-key", str(private)]


def _command(options: Sequence[str]) -> Callable[[], list[str]]:
    return lambda: mhz_run(APP, "--log-level", "error", *options)


def rounds(count: int, each: int) -> Iterator[tuple[str, float, float]]:
    """Kind, server CPU and time of a request, in microseconds."""
    authority, cores = trustme.CA(), pair()
    with ExitStack() as stack:
        running = servers(stack, authority)
        stack.enter_context(pinned(cores[1] if cores else None))
        for number in range(count + 1):
            for kind in KINDS:
                server = running[kind.key]
                client = Client(kind, server.port, authority)
                client.ask(20)
                before, began = server.usage().cpu, time.perf_counter()
                client.ask(each)
                spent = time.perf_counter() - began
                if number:  # the first is for caches
                    cpu = (server.usage().cpu - before) / each
                    yield kind.what, cpu * 1e6, spent / each * 1e6


def measure(count: int, each: int) -> dict[str, Any]:
    """All kinds in turn, so many times."""
    figures: dict[str, dict[str, list[float]]] = {}
    for what, cpu, spent in rounds(count, each):
        of = figures.setdefault(what, {"cpu_us": [], "us": []})
        of["cpu_us"].append(cpu)
        of["us"].append(spent)
    return {
        **about("handshakes"),
        "client": ssl.OPENSSL_VERSION,
        "method": {"rounds": count, "requests": each},
        "kinds": {what: spreads(of) for what, of in figures.items()},
    }


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    lines = ["| each request by | server CPU | time of one after the other |", "|---|---:|---:|"]
    for what, figures in found["kinds"].items():
        cpu, spent = figures["cpu_us"]["median"], figures["us"]["median"]
        lines.append(f"| {what} | {cpu:,.0f} us | {spent / 1e3:,.2f} ms |")
    method = found["method"]
    how = (
        f"`python -m benchmarks.handshakes`, {said(found)}, {found['client']} as client; medians "
        f"of {method['rounds']} rounds in turn of {method['requests']} requests."
    )
    return [*lines, "", how]


@click.command()
@click.option("--rounds", "count", default=5, show_default=True)
@click.option("--requests", default=500, show_default=True, help="Of each kind in each round.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(count: int, requests: int, keep: bool) -> None:
    """CPU and time of a request by TLS, whole, resumed and kept."""
    found = measure(count, requests)
    tell(found, table(found), keep=keep)


if __name__ == "__main__":
    main()
