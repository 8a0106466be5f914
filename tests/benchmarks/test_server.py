"""What is measured is verified first, disturbs nobody, and is gone afterwards."""

import os
from pathlib import Path

import pytest

from benchmarks.build import Missing
from benchmarks.peer import peers
from benchmarks.server import started
from benchmarks.work import Ask
from megahertz.load import tree

from .programs import HELLO, PARENT, peer


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_json_is_compared_by_meaning():
    with started(peer(HELLO), {}) as server:
        server.verify([Ask(answer={"msg": "ok"})])
        server.verify([Ask("/wrong", answer={"msg": "ok"}, refused=True)])


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (Ask(answer={"msg": "no"}), "instead of"),
        (Ask(answer=b'{"msg":"ok"}'), "instead of"),
        (Ask("/wrong"), "answers 404"),
        (Ask(refused=True), "answers 200"),
        (Ask("/orders", b"{}"), "answers 501"),
    ],
    ids=["other value", "other bytes", "status", "not refused", "no such method"],
)
def test_another_answer_is_not_measured(ask, said):
    with started(peer(HELLO), {}) as server, pytest.raises(Missing, match=said):
        server.verify([ask])


def test_a_server_that_does_not_start_says_why():
    with (
        pytest.raises(Missing, match="no luck"),
        started(peer("raise SystemExit('no luck')"), {}),
    ):
        pass


def test_the_whole_tree_is_stopped_and_goes_on():
    with started(peer(PARENT, HELLO), {}) as server:
        pids = tree(server.pid)
        server.pause()
        for pid in pids:
            while state(pid) != "T":
                os.sched_yield()
        server.resume()
        server.verify([Ask(answer={"msg": "ok"})])

    assert len(pids) == 2


def test_no_child_is_left_behind():
    with started(peer(PARENT, HELLO), {}) as server:
        pids = tree(server.pid)
        server.pause()

    assert [pid for pid in pids if Path(f"/proc/{pid}").exists() and state(pid) != "Z"] == []


def test_the_floor_builds_and_answers():
    with started(peers()["floor"], {}) as server:
        server.verify([Ask(answer={"msg": "ok"})])
