import os
import subprocess
import sys

import pytest

from megahertz.engine import BreakerCell, Limiter, Plane
from megahertz.errors import PlaneUnusable

SECOND = 1_000_000_000


def test_a_limiter_by_itself():
    limiter = Limiter(Plane(), "x", "gcra", rate=10, burst=2)
    answers = [limiter.acquire(now=SECOND) for _ in range(4)]
    assert answers == [0.0, 0.0, 0.1, 0.1]
    assert limiter.statistics(SECOND) == (2, 2, 0, 0)


def test_a_queue_says_when_it_is_ones_turn():
    limiter = Limiter(Plane(), "x", "leaky", rate=10, burst=2)
    answers = [limiter.acquire(now=SECOND) for _ in range(4)]
    assert answers == [0.0, -0.1, -0.2, 0.1]


def test_keys_are_told_apart_and_a_name_is_one_limit():
    plane = Plane()
    one, same = (Limiter(plane, "x", "window", rate=2, keys=64) for _ in range(2))
    assert [one.acquire("a", now=SECOND), same.acquire("a", now=SECOND)] == [0.0, 0.0]
    assert one.acquire("a", now=SECOND) > 0
    assert one.acquire("b", now=SECOND) == 0.0
    assert same.statistics(SECOND) == (3, 1, 2, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0},
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"rate": 1, "per": 0},
        {"rate": 1, "law": "other"},
        {"rate": 5_000_000, "law": "window"},
        {"rate": 1, "keys": 1 << 30},
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        Limiter(Plane(), "x", **{"law": "gcra"} | wrong)


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"k": 0.5}, {"open": 0}, {"window": -1}])
def test_a_breaker_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        BreakerCell(Plane(), "x", **wrong)


def test_a_breaker_opens_probes_and_closes():
    cell = BreakerCell(Plane(), "x", failures=2, open=1.0)
    for _ in range(2):
        cell.leave(cell.enter(SECOND), False, now=SECOND)
    assert cell.enter(SECOND) == 2
    assert cell.enter(2 * SECOND) == 1
    cell.abandon(1, now=2 * SECOND)
    assert cell.enter(2 * SECOND + 1) == 1
    cell.leave(1, True, now=2 * SECOND + 2)
    assert cell.enter(2 * SECOND + 3) == 0
    assert cell.state(2 * SECOND + 3) == (0.0, 0.0, 0, 0, 1, 1)


def test_parts_are_claimed_until_none_is_left():
    plane = Plane.shared(1)
    assert plane.fileno() is not None
    first = Plane(plane.fileno())
    with pytest.raises(PlaneUnusable, match="full"):
        Plane(plane.fileno())
    with pytest.raises(PlaneUnusable, match="looked at"):
        Limiter(Plane(plane.fileno(), look=True), "x", "gcra", rate=1)
    assert [owner[1] for owner in plane.owners()] == [os.getpid()]
    looked = Plane(plane.fileno(), look=True)
    assert looked.owners() == plane.owners()
    assert (looked.tallies(), looked.refusals()) == ([], [])
    plane.bury(os.getpid())
    assert plane.owners() == []
    del first


def test_what_is_no_plane_is_refused(tmp_path):
    with (tmp_path / "file").open("wb") as file, pytest.raises(PlaneUnusable, match="sealed"):
        Plane(file.fileno())
    with pytest.raises(ValueError, match="closed"):
        Plane(-1)
    with pytest.raises(ValueError, match="1024"):
        Plane.shared(0)


WORKER = """
import sys
from megahertz.engine import Limiter, Plane
fd, keys = map(int, sys.argv[1:])
limiter = Limiter(Plane(fd), "raced", "gcra", rate=1e-6, burst=1000, keys=keys)
key = "k" if keys else None
print(sum(limiter.acquire(key, now=10**9) == 0.0 for _ in range(2000)))
"""


@pytest.mark.parametrize("keys", [0, 16])
def test_processes_racing_admit_what_one_would(keys):
    plane = Plane.shared(4)
    fd = plane.fileno()
    command = [sys.executable, "-c", WORKER, str(fd), str(keys)]
    workers = [
        subprocess.Popen(command, pass_fds=[fd], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    admitted = [int(worker.communicate()[0]) for worker in workers]
    assert sum(admitted) == 1000


def test_a_process_killed_leaves_its_counts_and_no_broken_cell():
    plane = Plane.shared(2)
    fd = plane.fileno()
    script = WORKER.replace("print(", "print('ready', flush=True)\nwhile True: (")
    worker = subprocess.Popen(
        [sys.executable, "-c", script, str(fd), "16"],
        pass_fds=[fd],
        stdout=subprocess.PIPE,
        text=True,
    )
    worker.stdout.readline()
    own = Limiter(Plane(fd), "raced", "gcra", rate=1e-6, burst=1000, keys=16)
    while own.statistics(SECOND)[1] < 10_000:
        pass
    worker.kill()
    worker.communicate()
    admitted, refused, keys, forgotten = own.statistics(SECOND)
    assert (admitted, keys, forgotten) == (1000, 1, 0)
    assert refused >= 10_000
    assert own.acquire("k", now=SECOND) > 0
    assert own.acquire("other", now=SECOND) == 0.0
    assert [owner[1] for owner in plane.owners()] == [os.getpid()]
