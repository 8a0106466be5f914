"""One short run of the real thing, with wrk and the floor; `tests/servers.sh` installs wrk."""

import pytest

from benchmarks import generator
from benchmarks.build import Missing
from benchmarks.generator import Bad, Seen, load
from benchmarks.method import measure, serving
from benchmarks.server import started
from benchmarks.work import HELLO, Ask, Point, Work

from .programs import HELLO as HELLO_PROGRAM
from .programs import peer

WORK = Work("some", "hello", (HELLO,), ("floor",), (Point(2), Point(2, pipeline=4)))


def quiet(text, seconds=0.0):
    """No progress."""


def test_every_round_of_every_point_is_measured():
    missing = {}
    with serving(WORK, WORK.peers, missing, quiet) as running:
        points = measure(WORK, running, missing, rounds=2, seconds=0.1, tell=quiet)

    assert missing == {}
    assert list(points) == ["2", "2x4"]
    assert {name: len(values) for name, values in points["2"]["floor"].items()} == {
        "cpu_us": 2,
        "rps": 2,
        "p99_us": 2,
        "rss": 2,
    }
    assert min(min(values) for values in points["2"]["floor"].values()) > 0
    assert "p99_us" not in points["2x4"]["floor"], "wrk times a batch, not its requests"


def test_a_peer_that_answers_wrongly_is_left_out_and_named():
    missing = {}
    work = Work("some", "hello", (Ask(answer={"msg": "never"}),), ("floor",))
    with serving(work, work.peers, missing, quiet) as running:
        assert running == []

    assert "instead of" in missing["floor"]


@pytest.mark.parametrize(("bad", "left"), [(1, 2), (2, None)], ids=["one round", "two rounds"])
def test_a_bad_round_is_told_and_a_second_one_is_the_end(monkeypatch, bad, left):
    failures, missing = iter(range(bad)), {}

    def failing(base, ask, point, seconds):
        if next(failures, None) is not None:
            raise Bad("a wrong answer")
        return Seen(10, 1.0, 0.001)

    monkeypatch.setattr("benchmarks.generator.load", failing)
    work = Work("some", "hello", (HELLO,), ("floor",), (Point(2),))
    with serving(work, work.peers, missing, quiet) as running:
        points = measure(work, running, missing, rounds=3, seconds=0.1, tell=quiet)

    assert missing == {"floor at 2": f"round {bad}: a wrong answer"}
    assert {name: len(it["rps"]) for name, it in points["2"].items()} == (
        {"floor": left} if left else {}
    )


def test_wrong_answers_under_load_are_no_figure():
    with started(peer(HELLO_PROGRAM), {}) as server, pytest.raises(Bad, match=r"status [1-9]"):
        load(server.base, Ask("/wrong"), Point(1), 0.1)


def test_without_answers_there_is_no_figure():
    with pytest.raises(Bad, match="unable to connect"):
        load("http://127.0.0.1:9", HELLO, Point(1), 0.1)


def test_without_the_generator_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "")

    with pytest.raises(Missing, match="apt-get install wrk"):
        generator.check()
