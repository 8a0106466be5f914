"""Open and closed loop, stages, thought, pipelines and connections: who sends when."""

import itertools
import threading
from typing import NamedTuple

import pytest

from megahertz.errors import BadSettings
from megahertz.load import Plan, Stage, Stages, Template, drive, stages, think


class Reply(NamedTuple):
    data: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    then: str = "keep"


def plan(server, **changes):
    given = {"url": server.url, "connections": 4, "warmup": 0.0, "duration": 0.2, "timeout": 5.0}
    return Plan(**(given | changes))


STALL = 1.0


def stalling(at):
    """Nobody is answered for a second, from the request of that number on."""
    over = threading.Event()
    calls = itertools.count()

    def behave(asked):
        if next(calls) == at:
            threading.Timer(STALL, over.set).start()
            over.wait(60)
        return Reply()

    return behave


def test_the_open_loop_reports_a_stall_and_the_closed_loop_hides_it(serve):
    """Of 400 requests in two seconds, a stall of one second delays 200, the worst tenth of all by
    0.8 s and more. The closed loop asks two questions meanwhile, among thousands."""
    loop = {"connections": 2, "duration": 2.0}
    opened = drive(plan(serve(stalling(100)), rate=200.0, **loop))
    closed = drive(plan(serve(stalling(100)), **loop))

    assert opened.requests == 400
    assert opened.latencies.quantile(0.9) >= 0.7 * STALL
    assert opened.latencies.max >= STALL
    assert closed.requests > 400
    assert closed.latencies.max >= STALL
    assert closed.latencies.quantile(0.99) < 0.5 * STALL


def test_a_rate_may_go_in_steps_and_ramps(serve):
    server = serve(lambda asked: Reply())
    given = stages("rate", ["100:0.2", "300~:0.2", "0:0.1"])
    report = drive(plan(server, stages=given))
    assert report.seconds == pytest.approx(0.5)
    assert report.requests == len(server.log) == 20 + 40


def test_connections_may_go_in_steps(serve):
    """Two, then five, then two again: what is not in use is closed."""
    server = serve(lambda asked: Reply())
    busy = []
    given = stages("connections", ["2:0.2", "5:0.2", "2:0.2"])
    report = drive(plan(server, stages=given), lambda look: busy.append(look.busy))
    assert report.ok
    assert server.connections == report.connects == 5
    assert max(busy) <= 5


@pytest.mark.parametrize(
    ("text", "why"),
    [("100", "no stage"), ("x:1", "no stage"), ("5:0", "above 0"), ("0:5", "above 0 is needed")],
)
def test_what_is_no_stage_is_refused(text, why):
    with pytest.raises(BadSettings, match=why):
        stages("rate", [text])


def test_stages_are_written_as_they_are_read():
    texts = ["100:2.5", "300~:0.5"]
    assert [str(part) for part in stages("rate", texts).parts] == texts


def test_a_warm_up_has_the_level_that_the_first_stage_begins_with():
    step, ramp = Stage(100, 1), Stage(100, 1, ramp=True)
    assert Stages("rate", (step,)).stretches(2.0) == [(2.0, 100, 100), (1, 100, 100)]
    assert Stages("rate", (ramp,)).stretches(2.0) == [(2.0, 0, 0), (1, 0, 100)]


@pytest.mark.parametrize("text", ["0.05", "0.04-0.06", "exp:0.05"])
def test_users_think_between_answer_and_request(serve, text):
    """Ten users who think 0.05 s for 0.5 s: about 100 requests, and thousands without thought."""
    server = serve(lambda asked: Reply())
    report = drive(plan(server, connections=10, duration=0.5, think=think(text)))
    assert report.ok
    assert str(report.plan.think) == text
    assert 20 < report.requests < 300
    assert report.latencies.quantile(0.5) < 0.04


@pytest.mark.parametrize("text", ["", "-1", "a", "2-1", "exp:", "exp:1-2", "1,2"])
def test_what_is_no_thought_is_refused(text):
    with pytest.raises(BadSettings, match="no think time"):
        think(text)


def test_a_pipeline_is_sent_without_waiting(serve):
    """The server keeps four answers back until the fourth request is there."""

    def behave(asked):
        number = int(asked.target[1:])
        return Reply(Reply().data * 4 if number % 4 == 3 else b"")

    server = serve(behave)
    mix = (Template(target="/{n}"),)
    report = drive(plan(server, connections=1, pipeline=4, mix=mix, record=True))
    assert report.ok, report.troubles
    assert server.connections == 1
    assert report.requests == len(server.log) > 4
    recorded = sorted(outcome.id - report.plan.first_id for outcome in report.outcomes)
    assert recorded == [int(asked.target[1:]) for asked in server.log]


def test_a_close_within_a_pipeline_loses_what_is_behind(serve):
    server = serve(lambda asked: Reply(then="close" if asked.target.endswith("3") else "keep"))
    mix = (Template(target="/{n}"),)
    report = drive(plan(server, connections=1, pipeline=4, mix=mix, record=True))
    assert set(report.failures) <= {"closed", "reset"}
    assert report.requests + report.failed == len(report.outcomes)
    assert report.failed > 0
    assert len(server.log) >= report.requests


def test_a_connection_for_each_request_of_the_closed_loop(serve):
    server = serve(lambda asked: Reply(then="close"))
    report = drive(plan(server, keepalive=False))
    assert report.ok
    assert 0 <= server.connections - len(server.log) <= 4
    assert {asked.headers["connection"] for asked in server.log} == {"close"}


def test_a_connection_for_each_request_of_the_open_loop(serve):
    server = serve(lambda asked: Reply())  # the server would keep it
    report = drive(plan(server, keepalive=False, rate=200.0, duration=0.3))
    assert report.ok
    assert report.requests == report.connects == server.connections == 60


def test_thought_needs_no_connection_where_each_request_has_its_own(serve):
    server = serve(lambda asked: Reply())
    report = drive(plan(server, keepalive=False, think=think("0.05"), duration=0.3))
    assert report.ok
    assert 0 <= report.connects - report.requests <= 4
    assert report.requests < 60


def test_the_open_loop_books_refused_connections_to_requests(free_port):
    """Each request that is due fails, so that tags add up; nobody waits for a pause to end."""
    url = f"http://127.0.0.1:{free_port}/"
    mix = (Template(tag="a"), Template(tag="b"))
    given = Plan(url=url, mix=mix, rate=200.0, keepalive=False, warmup=0, duration=0.3)
    report = drive(given)
    assert report.failures == {"refused": 60}
    assert sum(part.failed for part in report.by_tag().values()) == 60
    assert "Connection refused" in report.troubles["refused"]


CONTRADICTIONS = {
    "rate and stages": {"rate": 1.0, "stages": stages("rate", ["1:1"])},
    "pipelined streams": {"http2": True, "pipeline": 2},
    "streams without": {"streams": 2},
    "open thought": {"rate": 1.0, "think": think("1")},
    "open pipeline": {"rate": 1.0, "pipeline": 2},
    "one of many": {"keepalive": False, "pipeline": 2},
    "no tls": {"insecure": True},
}


@pytest.mark.parametrize("changes", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_contradicts_itself_is_refused(changes):
    with pytest.raises(BadSettings):
        Plan(url="http://h/", **changes)
