"""Guards of several workers count in the plane of their server, with nobody telling them to."""

import os
import subprocess
import sys
from functools import partial

from megahertz.clock import Manual
from megahertz.engine import Plane
from megahertz.govern import planes

WORKER = """
from megahertz.govern import GCRA, Breaker

together = GCRA(64, 3600, burst=64, key=lambda user: user)
alone = GCRA(8, 3600, burst=8, scope="worker")
print(*[sum(call() == 0 for _ in range(100)) for call in (
    lambda: together.try_acquire("ann"), alone.try_acquire
)])
print(Breaker().statistics().state)
"""


def test_workers_count_together_without_being_told():
    plane = Plane.shared(4)
    environment = {**os.environ, "MEGAHERTZ_PLANE": str(plane.fileno())}
    command = [sys.executable, "-c", WORKER]
    start = partial(subprocess.Popen, command, env=environment, pass_fds=[plane.fileno()])
    workers = [start(stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [worker.communicate(timeout=60)[0].splitlines() for worker in workers]

    assert sum(int(lines[0].split()[0]) for lines in told) == 64
    assert [lines[0].split()[1] for lines in told] == ["8"] * 3
    assert [lines[1] for lines in told] == ["closed"] * 3


def test_a_process_of_no_server_has_memory_of_its_own():
    assert planes.private() is planes.private()
    assert planes.found(None) is planes.found(None)
    assert planes.found(Manual()) is not planes.found(Manual())
