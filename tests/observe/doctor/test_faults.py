"""The doctor finds what was broken for real, and nothing where nothing was."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("faults.py")


def examined(name):
    if os.geteuid() or not all(map(shutil.which, ("unshare", "ip", "tc"))):
        pytest.fail("needs root, unshare, ip and tc: apt-get install util-linux iproute2")
    command = ["unshare", "-n", sys.executable, str(PROGRAM), name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_is_found_where_nothing_is_wrong():
    assert examined("healthy") == {"found": [], "notes": []}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("loss", {"retransmits": "CRITICAL"}),
        ("small_backlog", {"listen_drops": "CRITICAL", "small_backlog": "WARNING"}),
        ("time_wait", {"time_waits": "WARNING"}),
        ("tw_reuse", {"time_waits": "WARNING", "no_reuse": "WARNING"}),
        ("fd_limit", {"fd_limit": "WARNING"}),
        ("port_range", {"port_range": "WARNING"}),
        ("fin_timeout", {"fin_timeout": "NOTICE"}),
        ("throttling", {"throttling": "CRITICAL"}),
        ("balance", {"balance": "WARNING"}),
        ("unread", {"unread": "WARNING"}),
        ("unclosed", {"unclosed": "WARNING"}),
    ],
)
def test_a_fault_is_found(fault, expected):
    found = examined(fault)["found"]

    assert {check: severity for check, severity, _ in found} == expected
