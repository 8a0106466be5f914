"""`python -m benchmarks`, with the floor for all peers."""

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as command
from benchmarks.__main__ import Order, main
from benchmarks.build import Missing
from benchmarks.work import HELLO, WORKS, Point, Work

FLOOR = Work("hello", "hello of the floor", (HELLO,), ("floor",), (Point(2),))


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(command, "WORKS", {"hello": FLOOR, "idle": WORKS["idle"]})

    def run(*arguments):
        return CliRunner().invoke(main, arguments)

    return run


def test_a_short_run_is_shown_judged_and_not_saved(run):
    done = run("--work", "hello", "--rounds", "1", "--seconds", "0.1")

    assert done.exit_code == 0
    assert "floor" in done.output
    assert "not saved" in done.output
    assert "BROKEN not measured  hello" in done.output


def test_a_broken_promise_is_an_exit_code_where_asked(run):
    assert run("--work", "hello", "--rounds", "1", "--seconds", "0.1", "--check").exit_code == 1


def test_an_unknown_work_or_peer_is_named(run):
    work, peer = run("--work", "nonsense"), run("--work", "hello", "--peers", "nonsense")

    assert (work.exit_code, peer.exit_code) == (2, 1)
    assert "there are hello, idle, client, micro" in work.output
    assert "no peer is called nonsense" in peer.output


def test_without_wrk_nothing_is_started(run, monkeypatch):
    monkeypatch.setenv("PATH", "")

    assert "apt-get install wrk" in run("--work", "hello").output


def test_a_work_without_its_redis_is_left_out(run, monkeypatch):
    def nothing(name, need):
        raise Missing(need)

    redis = Work("redis", "waits", (HELLO,), ("floor",), (Point(2),), redis="one")
    monkeypatch.setattr(command, "WORKS", {"redis": redis, "hello": FLOOR})
    monkeypatch.setattr("benchmarks.store.tool", nothing)

    done = run("--work", "redis,hello", "--rounds", "1", "--seconds", "0.1")

    assert "without the work redis: redis-server (Debian" in done.output
    assert "floor" in done.output


def test_the_list_names_works_and_peers(run):
    assert "hello of the floor" in run("--list").output


@pytest.mark.parametrize(
    ("order", "whole"),
    [
        (Order((), None, None), True),
        (Order((), 9, 3.0), True),
        (Order((), 4, None), False),
        (Order((), None, 0.5), False),
        (Order(("fasthttp",), None, None), False),
    ],
    ids=["defaults", "more", "few rounds", "short", "some peers"],
)
def test_only_whole_measurements_of_a_release_are_kept(order, whole, monkeypatch):
    monkeypatch.setattr(command, "is_release", lambda: True)
    assert order.is_whole is whole
    monkeypatch.setattr(command, "is_release", lambda: False)
    assert not order.is_whole


def test_the_command_of_a_result_repeats_it():
    assert Order((), None, None).command(FLOOR) == "make bench WORK=hello"
    assert Order((), 9, 2.5).command(FLOOR) == "make bench WORK=hello ROUNDS=9 SECONDS=2.5"
