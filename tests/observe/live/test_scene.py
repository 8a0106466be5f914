"""A server in one picture: rates between two looks, rules, workers, what waits."""

import os

import msgspec
import pytest

from megahertz.engine import BreakerCell, Limiter, Plane
from megahertz.observe.live import Scene, Snapshot, WorkerState
from megahertz.observe.live.scene import WINDOW
from megahertz.observe.live.worker import Held

BOUNDS = Plane.bounds()


class Shown:
    """A plane whose routes are what the test says."""

    def __init__(self):
        self.routes = {}
        self.workers = [(0, os.getpid(), 0)]

    def route(self, name, *, running=0, ok=0, failed=0, limited=0, at=0):
        buckets = [0] * len(BOUNDS)
        buckets[at] = ok + failed
        rules = [(0, 0), (0, 0), (limited, 0)] + [(0, 0)] * 5
        self.routes[name] = (name, running, 0, [0, 0, ok, 0, 0, failed], rules, buckets)

    def tallies(self):
        return list(self.routes.values())

    def owners(self):
        return self.workers

    def limiters(self):
        return []

    def breakers(self):
        return []


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def scene(plane, states=lambda pids: {}, clock=None, refusals=lambda plane: [], **more):
    rules = ("deadline", "shed", "limit", "breaker", "concurrency")
    more |= {"rules": rules, "refusals": refusals, "states": states}
    return Scene(plane, clock=clock or Clock(), **more)


def test_rates_are_between_two_looks():
    plane, clock = Shown(), Clock()
    plane.route("GET /a", ok=1000, at=3)
    looking = scene(plane, clock=clock)
    first = looking.look()
    assert (first.totals.rate, first.totals.p99, first.routes[0].total) == (0.0, None, 1000)

    clock.now += 2
    plane.route("GET /a", ok=1090, failed=10, limited=20, running=3, at=3)
    plane.route("GET /b", ok=2, at=100)
    second = looking.look()
    assert [one.route for one in second.routes] == ["GET /a", "GET /b"]
    a, b = second.routes
    assert (a.rate, a.running, a.total, b.rate) == (50.0, 3, 1100, 1.0)
    assert a.classes == {"2xx": 45.0, "5xx": 5.0}
    assert (a.refused, a.observed) == ({"limit": 10.0}, {})
    assert BOUNDS[2] / 1e9 < a.p50 == a.p99 < BOUNDS[3] / 1e9
    assert BOUNDS[99] / 1e9 < b.p50 < BOUNDS[100] / 1e9
    totals = second.totals
    assert (totals.rate, totals.failed, totals.refused, totals.running) == (51.0, 5.0, 10.0, 3)
    assert totals.p50 == a.p50


def test_rates_forget_what_was_before_the_window():
    plane, clock = Shown(), Clock()
    looking = scene(plane, clock=clock)
    plane.route("GET /a", ok=100)
    looking.look()
    for _ in range(2 * int(WINDOW)):
        clock.now += 1
        last = looking.look()
    assert last.seconds == WINDOW
    assert last.totals.rate == 0.0


def test_what_nobody_asked_for_and_what_is_ours_is_not_shown():
    plane = Shown()
    plane.route("GET /quiet")
    plane.route("GET /_mhz/live", running=1, ok=5)
    plane.route("GET /refused", limited=1)
    assert [one.route for one in scene(plane).look().routes] == ["GET /refused"]


def test_a_server_that_counts_nothing_says_why():
    picture = scene(Shown()).look()
    assert "no route counts" in picture.notes[0]
    assert picture.totals.p50 is None


def state(**more):
    return WorkerState(pid=os.getpid(), lag=0.5, **more)


def test_workers_are_what_the_kernel_and_they_themselves_say():
    clock, plane = Clock(), Shown()
    plane.workers = [(0, os.getpid(), 40 * 10**9), (1, 999_999_999, 0)]
    known = state(tasks=7, statistics={"connections": 3.0}, blocked="shop.py:3 in total")
    looking = scene(plane, lambda pids: {os.getpid(): known, 999_999_999: None}, clock)
    (worker,) = looking.look().workers
    assert (worker.pid, worker.seconds, worker.cpu) == (os.getpid(), 60.0, 0.0)
    assert worker.memory > 1 << 20
    assert worker.threads >= 1
    assert worker.files > 2
    assert (worker.lag, worker.tasks, worker.connections, worker.running) == (0.5, 7, 3, None)
    assert worker.blocked == "shop.py:3 in total"

    clock.now += 1_000_000
    assert 0.0 <= looking.look().workers[0].cpu < 1.0


def test_one_that_does_not_answer_is_named():
    picture = scene(Shown(), lambda pids: dict.fromkeys(pids)).look()
    assert f"these do not answer: {os.getpid()}" in picture.notes
    assert picture.workers[0].lag is None


def test_files_of_somebody_else_are_not_counted(tmp_path):
    folder = tmp_path / str(os.getpid())
    folder.mkdir()
    (folder / "stat").write_text("1 (a ) b) S " + " ".join(["0"] * 40))
    (folder / "statm").write_text("10 5 0 0 0 0 0")
    (worker,) = scene(Shown(), proc=tmp_path).look().workers
    assert worker.files is None


def test_what_waits_longest_comes_first_and_our_own_streams_do_not():
    held = [
        Held(route="GET /a", path="/a", seconds=1.0, where=""),
        Held(route="GET /_mhz/live", path="/_mhz/live", seconds=9.0, where=""),
        Held(route="GET /b", path="/b", seconds=2.0, where=""),
    ]
    picture = scene(Shown(), lambda pids: {pid: state(held=held) for pid in pids}).look()
    assert [one.route for one in picture.held] == ["GET /b", "GET /a"]
    assert "slow requests are not recorded" in picture.notes[-1]


def real():
    plane = Plane()
    now = 10**12
    gcra = Limiter(plane, "per user", "gcra", rate=10, per=1, burst=3, keys=64)
    Limiter(plane, "queue", "leaky", rate=2, burst=5)
    window = Limiter(plane, "window", "window", rate=100, per=60)
    for _ in range(4):
        gcra.acquire("x", now=now)
    window.acquire()
    adaptive = BreakerCell(plane, "adaptive", k=2.0, calls=1)
    breaker = BreakerCell(plane, "GET /", failures=0.5, calls=2, open=1000.0)
    assert breaker.state()[0] == adaptive.state()[0] == 0.0
    return plane, breaker


def test_limits_are_told_by_who_only_looks():
    plane, _ = real()
    limits = {one.name: one for one in scene(plane).look().limits}
    gcra, queue, window = limits["per user"], limits["queue"], limits["window"]
    assert (gcra.law, gcra.admitted, gcra.refused, gcra.left) == ("10/s, 3 at once", 3, 1, None)
    assert (queue.law, queue.left) == ("2/s, 5 may wait", 6)
    assert (window.law, window.left) == ("100 in any 60 s", 99)


def test_breakers_are_told_by_who_only_looks():
    plane, breaker = real()
    looking = scene(plane)

    def told():
        return {one.name: one for one in looking.look().breakers}

    assert told()["GET /"].state == told()["adaptive"].state == "closed"
    for _ in range(2):
        breaker.leave(breaker.enter(), False)
    assert breaker.enter() == 2
    seen = told()["GET /"]
    assert (seen.state, seen.calls, seen.failures) == ("open", 2, 2)
    assert (seen.opened, seen.refused, seen.share) == (1, 1, 1.0)
    assert 990 < seen.closes <= 1000


@pytest.mark.parametrize(
    ("closes", "share", "state"),
    [
        (0.0, 0.0, "closed"),
        (0.0, 0.25, "refuses 25%"),
        (2.0, 1.0, "open"),
        (1e-9, 0.0, "half open"),
    ],
)
def test_the_states_of_a_breaker(closes, share, state):
    plane = Shown()
    plane.breakers = lambda: [("GET /", (closes, share, 10, 5, 1, 7))]
    assert scene(plane).look().breakers[0].state == state


def test_refusals_are_told_and_the_whole_goes_through_json():
    refusal = {"at": 1.0, "id": "7", "route": "GET /", "rule": "shed", "observed": False}
    refusal["figures"] = {"limit": None, "cpu": 0.5}
    picture = scene(Shown(), refusals=lambda plane: [refusal] * 30).look()
    assert len(picture.refusals) == 10
    assert msgspec.json.decode(msgspec.json.encode(picture), type=Snapshot) == picture
