import pytest

from benchmarks.build import Missing
from benchmarks.idle import measure_idle
from benchmarks.limits import raise_limits
from benchmarks.method import serving
from benchmarks.server import started
from benchmarks.work import HELLO, Point, Work

from .programs import HELLO as PROGRAM
from .programs import peer

WORK = Work("idle", "nothing", (HELLO,), ("floor",), (Point(50),))


def quiet(text, seconds=0.0):
    """No progress."""


def test_memory_and_cpu_of_open_connections_are_measured():
    missing = {}
    with serving(WORK, WORK.peers, missing, quiet) as running:
        points = measure_idle(WORK, running, missing, seconds=0.1, tell=quiet)

    figures = points["50"]["floor"]
    assert missing == {}
    assert set(figures) == {"idle_cpu", "held_cpu", "bytes"}
    assert figures["bytes"][0] >= 0


def test_a_server_that_keeps_no_connection_is_left_out_and_named():
    missing = {}
    broken = peer(PROGRAM.replace('if self.path == "/"', "if False"))
    with started(broken, {}) as server:
        points = measure_idle(WORK, [server], missing, seconds=0.1, tell=quiet)

    assert points == {"50": {}}
    assert "no answer" in missing["some at 50"]


def test_more_connections_than_open_files_are_refused_beforehand(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda kind: (1024, 4096))
    monkeypatch.setattr("resource.setrlimit", lambda kind, limits: None)

    raise_limits(3000)
    with pytest.raises(Missing, match="ulimit -Hn"):
        raise_limits(4000)
