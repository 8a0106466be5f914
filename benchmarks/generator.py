"""Who asks: wrk, with a script that sends our requests and tells exact percentiles."""

import json
import math
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from benchmarks.build import tool
from benchmarks.work import Ask, Point

SCRIPT = Path(__file__).parent / "wrk.lua"
NEED = "wrk (Debian: apt-get install wrk)"
TIMEOUT = 10
"""Seconds that an answer may take: at 10,000 connections the slowest server needs more than
wrk's own 2."""


class Bad(Exception):
    """Answers that were wrong or missing: a figure would mean nothing."""


@dataclass(frozen=True)
class Seen:
    """What wrk saw.

    Attributes:
        answers: all of them good.
        seconds: that they took.
        p99: seconds; corrected by wrk for what a stall kept it from sending.
    """

    answers: int
    seconds: float
    p99: float


def check() -> None:
    """Raises `Missing` when wrk is not there."""
    tool("wrk", NEED)


def load(base: str, ask: Ask, point: Point, seconds: float) -> Seen:
    """Closed loop for so many seconds.

    Raises:
        Bad: a wrong or missing answer, or none at all.
    """
    with NamedTemporaryFile() as body:
        extra = []
        if ask.body is not None:
            body.write(ask.body)
            body.flush()
            extra = [body.name]
        command = ["wrk", "-t1", f"-c{point.connections}", f"-d{math.ceil(seconds) + 1}s"]
        command += [f"--timeout={TIMEOUT}s", "-s", str(SCRIPT), base + ask.target, "--"]
        return _read(base + ask.target, _run([*command, str(point.pipeline), *extra], seconds))


def _run(command: list[str], seconds: float) -> str:
    """wrk's own duration is in whole seconds; SIGINT ends it earlier, and in good order."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=60)[0]
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise Bad(f"{command[-3]}: wrk does not end") from error


def _read(url: str, text: str) -> Seen:
    last = text.rstrip().rpartition("\n")[2]
    if not last.startswith("{"):
        raise Bad(f"{url}: {text.strip()[-400:]}")
    found = json.loads(last)
    if found["bad"] or not found["answers"]:
        raise Bad(f"{url}: {found['answers']} answers, errors: {found['errors']}")
    return Seen(found["answers"], found["seconds"], found["p99"] / 1e6)
