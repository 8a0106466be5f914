"""A stage's server: a real process, started, awaited, stopped."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from megahertz.demo.stages import Stage
from megahertz.errors import ConnectError
from megahertz.load import pinned

START = 30.0
"""Importing FastAPI on a slow machine takes seconds, not more."""

STOP = 60.0
"""`mhz run` lets requests finish for 30 s, and write-behind its batches for 10 s."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections."""

    url: str
    pid: int


@contextmanager
def serving(stage: Stage, home: Path, *, core: int | None = None) -> Iterator[Running]:
    """Runs the stage on the shop in `home`; SIGTERM at the end, so that it may finish.

    Raises:
        ConnectError: it did not start, or did not stop.
    """
    port = _free_port()
    with (home / f"{stage.name}.log").open("w+") as log:
        with pinned(core):
            process = subprocess.Popen(
                stage.command(port),
                env=os.environ | {"FLASH_SALE": str(home)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            _await(process, port, stage, log.name)
            yield Running(f"http://127.0.0.1:{port}", process.pid)
        finally:
            _stop(process, stage)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _await(process: subprocess.Popen[bytes], port: int, stage: Stage, log: str) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = Path(log).read_text().strip()[-1000:]
    raise ConnectError(f"the {stage.name} stage did not start:\n{said}")


def _stop(process: subprocess.Popen[bytes], stage: Stage) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise ConnectError(f"the {stage.name} stage did not stop in {STOP:g} s") from None
