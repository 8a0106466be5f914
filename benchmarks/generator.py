"""Who asks: wrk where it is installed, else `mhz load`."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

CONNECTIONS = 64
"""Enough that no server waits for the generator; the spike's table has the same."""

Generator = Callable[[str, float], tuple[int, float]]
"""Loads a URL for so many seconds; gives the number of answers, all good, and their rate."""


class Bad(Exception):
    """Answers that were wrong or missing: a figure would mean nothing."""


def choose(name: str) -> tuple[str, Generator]:
    """The generator of that name; `auto` prefers wrk."""
    if name == "auto":
        name = "wrk" if shutil.which("wrk") else "mhz"
    return name, {"wrk": _wrk, "mhz": _mhz}[name]


def _wrk(url: str, seconds: float) -> tuple[int, float]:
    # wrk counts in whole seconds
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    bad = re.search(r"(Non-2xx.*|Socket errors:.*)", text)
    found = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if bad or not found or not rate:
        raise Bad(f"{url}: {bad[0] if bad else text}")
    return int(found[1]), float(rate[1])


def _mhz(url: str, seconds: float) -> tuple[int, float]:
    mhz = str(Path(sys.executable).parent / "mhz")
    with NamedTemporaryFile(suffix=".json") as file:
        options = ["-c", str(CONNECTIONS), "-d", str(seconds), "--warmup", "0", "--json", file.name]
        done = subprocess.run([mhz, "load", url, *options], capture_output=True, text=True)
        if done.returncode:
            raise Bad(f"{url}: {done.stdout}{done.stderr}")
        report = json.loads(Path(file.name).read_text())
        return report["answered"], report["qps"]
