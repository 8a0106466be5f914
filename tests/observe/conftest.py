"""Prometheus's tools."""

import shutil
import subprocess

import pytest


@pytest.fixture
def promtool():
    """Calls it, and fails with what it says."""
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is missing: run tests/servers.sh, or apt-get install prometheus")

    def call(*arguments):
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    return call
