"""The demo as a user runs it, and the crash that it exists to survive."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from megahertz.demo import PHASES, STAGES, audit
from megahertz.demo.flash_sale.database import create
from megahertz.demo.server import serving
from megahertz.demo.traffic import plan
from megahertz.load import drive

GOVERNED = STAGES[-1]


def test_the_demo_sells_in_every_stage_and_its_books_hold(tmp_path):
    command = [sys.executable, "-m", "megahertz", "demo", "flash-sale"]
    options = ["--seconds", "0.4", "--json", "sale.json", "--plot", "sale.html"]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads((tmp_path / "sale.json").read_text())
    assert data["audit"]["ok"]
    assert [stage["name"] for stage in data["stages"]] == [stage.name for stage in STAGES]
    for stage in data["stages"]:
        assert stage["qps"] > 0
        assert stage["cpu_per_request"] > 0
        assert stage["phases"]["rush"]["answered"] > 0
    for shop in data["audit"]["stages"].values():
        assert shop["orders"]["stored"] >= shop["orders"]["acknowledged"] > 0
    assert "</svg>" in (tmp_path / "sale.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sale.html", "sale.json"]


def test_orders_acknowledged_before_a_kill_are_in_the_database_after_a_restart(tmp_path):
    """Under load, kill -9; the next start drains the journal; then the books are compared."""
    create(tmp_path / "shop.db", PHASES[0].stock())
    killed = []

    def kill(look):
        if look.answered > 2_000 and not killed:
            os.kill(pid, signal.SIGKILL)
            killed.append(look.answered)

    with serving(GOVERNED, tmp_path) as running:
        pid = running.pid
        report = drive(plan(running.url, seconds=2.0, connections=50), kill)
    assert killed, "the server answered too little to be killed"
    assert report.failures
    with serving(GOVERNED, tmp_path):
        pass
    found = audit(Path(tmp_path / "shop.db"), report.outcomes)
    assert found.ok, found.findings
    assert found.acknowledged > 1_000
    assert found.unknown > 0, "nothing was under way when it was killed"
