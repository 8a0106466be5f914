import contextlib
import json
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from megahertz.engine import LoadRun
from megahertz.errors import BadSettings, ConnectError
from megahertz.load import Plan, Template, drive, statuses


class Reply(NamedTuple):
    data: bytes = b""
    then: str = "keep"


def ok(body=b"ok", status=200):
    return Reply(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))


def plan(server, **changes):
    given = {"url": server.url, "connections": 4, "warmup": 0.0, "duration": 0.2, "timeout": 5.0}
    return Plan(**(given | changes))


def test_every_answer_is_counted_once(serve):
    server = serve(lambda asked: ok())
    report = drive(plan(server))
    assert report.ok
    assert report.requests == report.answered == len(server.log) == len(report.latencies)
    assert report.connects == server.connections == 4


def test_warm_up_is_served_but_not_measured(serve):
    server = serve(lambda asked: ok())
    report = drive(plan(server, warmup=0.1, duration=0.5, record=True))
    assert report.answered == len(server.log) == len(report.outcomes)
    assert 0 < report.requests < report.answered
    assert report.seconds == pytest.approx(0.5)


REPLIES = {
    "length": Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    "chunked": Reply(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nt: 1\r\n\r\n"
    ),
    "no content": Reply(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "interim first": Reply(
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    ),
    "large": Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_kept_connections_are_used_again(serve, reply):
    server = serve(lambda asked: reply)
    report = drive(plan(server, connections=2))
    assert report.ok
    assert report.requests == len(server.log) > 2
    assert server.connections == 2


CLOSING = {
    "said": b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    "old": b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    "unframed": b"HTTP/1.1 200 OK\r\n\r\neverything until the end",
}


@pytest.mark.parametrize("data", CLOSING.values(), ids=CLOSING)
def test_closing_answers_count_and_the_next_request_connects_anew(serve, data):
    server = serve(lambda asked: Reply(data, then="close"))
    report = drive(plan(server, connections=2))
    assert report.ok
    assert report.requests == len(server.log) > 2
    assert server.connections >= report.requests


def test_an_idle_connection_may_be_closed_without_an_error(serve):
    server = serve(lambda asked: ok()._replace(then="close"))
    report = drive(plan(server, rate=5.0, connections=1, duration=0.5))
    assert report.failures == {}
    assert report.requests == 3


def test_head_has_no_body(serve):
    server = serve(lambda asked: Reply(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"))
    report = drive(plan(server, mix=(Template(method="HEAD"),)))
    assert report.ok
    assert server.connections == 4


BROKEN = {
    "closed": Reply(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", then="close"),
    "reset": Reply(then="reset"),
    "protocol": Reply(b"220 smtp.example.org ready\r\n\r\n"),
}


@pytest.mark.parametrize("why", BROKEN)
def test_what_is_no_answer_is_counted_by_its_reason(serve, why):
    server = serve(lambda asked: BROKEN[why])
    report = drive(plan(server, record=True))
    assert list(report.failures) == [why]
    assert report.failures[why] == len(server.log) == len(report.outcomes)
    assert {outcome.status for outcome in report.outcomes} == {None}
    assert not report.ok


def test_more_than_the_answer_is_a_protocol_error(serve):
    server = serve(lambda asked: Reply(ok().data * 2))
    report = drive(plan(server, connections=1))
    assert set(report.failures) == {"protocol"}


def test_no_answer_in_time_is_a_timeout_and_takes_that_long(serve):
    server = serve(lambda asked: Reply(then="hang"))
    report = drive(plan(server, timeout=0.1, record=True))
    assert set(report.failures) == {"timeout"}
    assert report.latencies.quantile(0) >= 0.1
    assert sorted(outcome.id for outcome in report.outcomes) == [
        report.plan.first_id + n for n in range(len(report.outcomes))
    ]


def test_nobody_listening_is_refused_and_not_hammered(free_port):
    report = drive(
        Plan(url=f"http://127.0.0.1:{free_port}/", warmup=0, duration=0.25, connections=3)
    )
    assert set(report.failures) == {"refused"}
    # tried at 0, 0.1 and 0.2 s, each by three connections
    assert 3 <= report.failures["refused"] <= 9
    assert report.requests == 0
    assert not report.ok


def test_statuses_are_counted_by_kind_and_judged_by_its_expectation(serve):
    server = serve(lambda asked: ok(status=409 if asked.target == "/b" else 201))
    mix = (
        Template(target="/a", weight=3),
        Template(target="/b", expect=statuses("2xx,409")),
        Template(target="/b", expect=statuses("2xx")),
    )
    report = drive(plan(server, mix=mix, duration=0.4))
    assert [set(counter) for counter in report.by_kind] == [{201}, {409}, {409}]
    assert report.unexpected == report.by_kind[2][409] > 0
    assert report.failed == report.unexpected
    assert report.statuses[201] > report.by_kind[1][409]


def test_each_request_has_an_id_of_its_own_everywhere(serve):
    server = serve(lambda asked: ok())
    template = Template(
        method="POST",
        target="/orders/{id}?n={n}",
        headers=(("x-id", "{id}"),),
        body=b'{"id": {id}, "n": {n}, "sku": {rand:1-3}, "nested": {}}',
    )
    report = drive(plan(server, mix=(template,), threads=2, warmup=0.05, record=True))
    bodies = [json.loads(asked.body) for asked in server.log]
    ids = [body["id"] for body in bodies]
    assert sorted(outcome.id for outcome in report.outcomes) == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {body["sku"] for body in bodies} == {1, 2, 3}
    for asked, body in zip(server.log, bodies, strict=True):
        assert asked.target == f"/orders/{body['id']}?n={body['n']}"
        assert asked.headers["x-id"] == str(body["id"])
        assert body["id"] - report.plan.first_id == body["n"]


def test_recorded_outcomes_are_what_the_server_answered(serve):
    def behave(asked):
        number = int(asked.target[1:])
        if number % 5 == 4:
            return Reply(then="close")
        return ok(status=(200, 201, 404, 503)[number % 4])

    server = serve(behave)
    report = drive(plan(server, mix=(Template(target="/{n}"),), record=True, first_id=0))
    answered = {int(asked.target[1:]): behave(asked).data[9:12].decode() for asked in server.log}
    recorded = {outcome.id: str(outcome.status or "") for outcome in report.outcomes}
    assert recorded == answered
    assert "" in recorded.values()


def test_runs_do_not_share_ids(serve):
    server = serve(lambda asked: ok())
    assert plan(server).first_id != plan(server).first_id
    assert plan(server).first_id + 2**32 <= 2**53


def test_the_open_loop_sends_what_was_due(serve):
    server = serve(lambda asked: ok())
    report = drive(plan(server, rate=500.0, duration=0.4, warmup=0.2))
    assert report.requests == 200
    assert len(server.log) == 300


def test_every_request_that_was_due_is_answered_late_or_dropped(serve):
    server = serve(lambda asked: Reply(then="hang"))
    report = drive(plan(server, rate=100.0, connections=1, duration=0.4, timeout=0.1, record=True))
    assert sum(report.failures.values()) == 40
    assert report.failures["timeout"] == len(report.outcomes)
    assert report.failures["dropped"] > report.failures["timeout"]
    assert len(report.latencies) == 40
    assert report.latencies.quantile(0) >= 0.1


def test_progress_goes_one_way_and_ends_with_done(serve):
    seen = []
    drive(plan(serve(lambda asked: ok()), warmup=0.15, duration=0.25), seen.append)
    order = ["warmup", "measuring", "draining", "done"]
    stages = [order.index(look.stage) for look in seen]
    assert stages == sorted(stages)
    assert seen[-1].stage == "done"
    assert [look.answered for look in seen] == sorted(look.answered for look in seen)
    assert seen[-1].measured == pytest.approx(0.25)


def test_an_interrupt_ends_the_run_with_what_was_measured(serve):
    server = serve(lambda asked: ok())

    def interrupt(look):
        if look.answered:
            raise KeyboardInterrupt

    report = drive(plan(server, duration=60.0, record=True), interrupt)
    assert report.interrupted
    assert 0 < report.seconds < 60
    assert len(report.outcomes) == len(server.log)


def test_ctrl_c_ends_the_run_even_where_an_exception_would_be_lost(serve):
    server = serve(lambda asked: ok())
    before, pressed = signal.getsignal(signal.SIGINT), []

    class Deaf:
        def __del__(self):
            pressed.append(signal.raise_signal(signal.SIGINT))

    def press(look):
        if look.answered and not pressed:
            Deaf()

    report = drive(plan(server, duration=60.0), press)
    assert report.interrupted
    assert report.seconds < 60
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_wait_for_answers(serve):
    server = serve(lambda asked: Reply(then="hang"))

    def press(look):
        if look.busy:
            signal.raise_signal(signal.SIGINT)

    report = drive(plan(server, duration=60.0, timeout=600.0), press)
    assert report.interrupted
    assert report.answered == 0


def native_threads():
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it ended meanwhile
            yield (task / "comm").read_text()


def test_an_abandoned_run_leaves_no_thread(serve):
    server = serve(lambda asked: Reply(then="hang"))
    given = plan(server)
    run = LoadRun(
        "127.0.0.1",
        server.port,
        given.requests(),
        connections=2,
        warmup=0.0,
        duration=60.0,
        timeout=60.0,
    )
    while not run.snapshot()["busy"]:
        run.wait(0.01)
    assert any(name.startswith("mhz-load") for name in native_threads())
    del run
    assert not any(name.startswith("mhz-load") for name in native_threads())


@pytest.mark.parametrize(
    "changes",
    [
        {"mix": ()},
        {"mix": (Template(body=b"{rand:9-1}"),)},
        {"mix": (Template(target="/ with space"),)},
        {"mix": (Template(headers=(("a", "b\r\nc: d"),)),)},
        {"mix": (Template(weight=0),)},
        {"rate": -1.0},
        {"connections": 10**7},
    ],
    ids=["no mix", "range", "target", "header", "weight", "rate", "connections"],
)
def test_what_cannot_be_sent_is_refused_at_the_start(changes):
    given = {"url": "http://127.0.0.1:1/"} | changes
    with pytest.raises(BadSettings):
        drive(Plan(**given))


def test_a_host_without_an_address_is_a_connect_error():
    with pytest.raises(ConnectError):
        drive(Plan(url="http://nowhere.invalid/"))
