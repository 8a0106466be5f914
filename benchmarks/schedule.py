"""Requests on a schedule (open loop), by `mhz load`: demand that does not wait for answers."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.build import ROOT
from benchmarks.generator import Bad


def scheduled(url: str, rate: int, seconds: float) -> dict[str, Any]:
    """Its report of so many requests a second over 64 connections, any certificate trusted.

    Raises:
        Bad: a wrong or missing answer.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        options = ["--rate", str(rate), "-d", str(seconds), "--warmup", "0.5"]
        options += ["--insecure"] if url.startswith("https") else []
        command = [sys.executable, "-m", "megahertz", "load", url, *options, "--json", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise Bad(f"{url}: {done.stdout[-400:]}{done.stderr[-400:]}")
        report: dict[str, Any] = json.loads(file.read_text())
        return report
