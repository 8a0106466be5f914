"""A peer that runs: started on its core, verified, stopped in between, ended with its children."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from select import select
from tempfile import TemporaryFile

from benchmarks.build import ROOT, Missing
from benchmarks.peer import Peer
from benchmarks.work import Ask
from megahertz.load import Usage, pair, pinned, tree, usage

START = 20.0
"""Seconds until the first answer; FastAPI's imports take two on a busy machine."""


@dataclass(frozen=True)
class Server:
    """A process that answers as its peer should."""

    peer: Peer
    pid: int
    base: str

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.base.rpartition(":")[2])

    def usage(self) -> Usage:
        """Of the process and all below it."""
        return usage(self.pid)

    def pause(self) -> None:
        """Not one of its threads runs until `resume`: it cannot disturb who is measured."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Goes on."""
        self._signal(signal.SIGCONT)

    def verify(self, asks: Iterable[Ask]) -> None:
        """Raises `Missing` when an answer is not what it should be."""
        for ask in asks:
            _verify(self.base, ask)

    def _signal(self, number: int) -> None:
        for pid in tree(self.pid):
            _send(pid, number)


@contextmanager
def started(peer: Peer, environment: Mapping[str, str], *, pin: bool = True) -> Iterator[Server]:
    """Builds it and starts it on the server's core, or on any.

    Raises:
        Missing: it cannot be built, or does not answer.
    """
    port = free_port()
    command = [word.replace("{port}", str(port)) for word in peer.build()]
    surroundings = os.environ | peer.environment | environment
    cores = pair() if pin else None
    with TemporaryFile() as said:
        with pinned(cores[0] if cores else None):
            process = subprocess.Popen(
                command, env=surroundings, stdout=said, stderr=said, cwd=ROOT
            )
        server = Server(peer, process.pid, f"http://127.0.0.1:{port}")
        try:
            if not _accepts(process, port):
                said.seek(0)
                text = said.read().decode(errors="replace").strip()
                raise Missing(f"does not accept: {text[-400:]}")
            yield server
        finally:
            _end(process)


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Children too: Robyn leaves its worker behind."""
    pids = tree(process.pid)
    for number in (signal.SIGCONT, signal.SIGTERM):
        for pid in pids:
            _send(pid, number)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        pass
    for pid in pids:
        _kill(pid)
    process.wait()


def _kill(pid: int) -> None:
    """Returns once it is gone, also where somebody else has to reap it."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    signal.pidfd_send_signal(handle, signal.SIGKILL)
    select([handle], [], [], 5)
    os.close(handle)


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _accepts(process: subprocess.Popen[bytes], port: int) -> bool:
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False


def _verify(base: str, ask: Ask) -> None:
    connection = HTTPConnection(base.removeprefix("http://"), timeout=5)
    headers = {} if ask.body is None else {"content-type": "application/json"}
    method = "GET" if ask.body is None else "POST"
    try:
        connection.request(method, ask.target, ask.body, headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException) as error:
        raise Missing(f"{ask.target}: {type(error).__name__} {error}") from error
    finally:
        connection.close()
    if answer.status // 100 != (4 if ask.refused else 2):
        raise Missing(f"{ask.target}: answers {answer.status} {body[:100]!r}")
    if not _is_meant(body, ask.answer):
        raise Missing(f"{ask.target}: answers {body[:100]!r} instead of {ask.answer!r:.100}")


def _is_meant(body: bytes, answer: object) -> bool:
    if answer is None or isinstance(answer, bytes):
        return answer is None or body == answer
    try:
        return bool(json.loads(body) == answer)
    except ValueError:
        return False
