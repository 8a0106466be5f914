"""The alert rules, by Prometheus's own tool."""

import shutil
import subprocess
from pathlib import Path

import pytest

ALERTS = Path(__file__).parents[2] / "deploy/prometheus/alerts.yml"


def promtool(*arguments):
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is missing: run tests/servers.sh, or apt-get install prometheus")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_they_are_rules():
    promtool("check", "rules", ALERTS)


def test_they_fire_when_they_should_and_not_otherwise(tmp_path):
    tests = tmp_path / "alerts.yml"
    tests.write_text(
        Path(__file__).with_name("alerts.yml").read_text().replace("ALERTS", f"{ALERTS}")
    )

    promtool("test", "rules", tests)
