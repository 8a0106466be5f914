import json
import threading

import pytest

from megahertz.load import Plan, Template, drive
from tests.load.conftest import Http2Server


def plan(server, **changes):
    given = {"url": server.url, "connections": 2, "warmup": 0.0, "duration": 0.2, "timeout": 5.0}
    return Plan(**(given | {"http2": True} | changes))


def ok(asked):
    return b"hello", "keep"


def test_streams_share_a_connection(serve):
    server = serve(ok, kind=Http2Server)
    report = drive(plan(server, connections=1, streams=8))
    assert report.ok, report.troubles
    assert report.requests == report.answered == len(server.log)
    assert server.connections == 1
    assert server.most > 1


def test_no_more_streams_than_the_server_takes(serve):
    server = serve(ok, kind=Http2Server, streams=3)
    report = drive(plan(server, connections=1, streams=50))
    assert report.ok, report.troubles
    assert server.most <= 3


def test_alpn_agrees_on_it_over_tls(serve, tls, cacert):
    server = serve(ok, kind=Http2Server, tls=tls(alpn=("h2",)))
    report = drive(plan(server, cacert=cacert, streams=4))
    assert report.ok, report.troubles
    assert report.requests == len(server.log)


def test_a_server_that_does_not_offer_it_is_named(serve, tls, cacert):
    server = serve(ok, tls=tls())
    report = drive(plan(server, cacert=cacert))
    assert report.requests == 0
    assert report.troubles["protocol"] == "the server does not offer HTTP/2"


def test_fields_and_bodies_are_rendered(serve):
    server = serve(ok, kind=Http2Server)
    template = Template(
        target="/o/{n}",
        method="POST",
        headers=(("X-Id", "{id}"), ("Connection", "keep-alive")),
        body=b'{"id": {id}, "fill": "' + b"x" * 70_000 + b'"}',
    )
    report = drive(plan(server, mix=(template,), streams=3, record=True))
    assert report.ok, report.troubles
    ids = [json.loads(asked.body)["id"] for asked in server.log]
    assert sorted(ids) == sorted(outcome.id for outcome in report.outcomes)
    for asked, number in zip(server.log, ids, strict=True):
        assert asked.target == f"/o/{number - report.plan.first_id}"
        assert asked.headers["x-id"] == str(number)
        assert asked.headers[":authority"] == f"127.0.0.1:{server.port}"
        assert "connection" not in asked.headers
        assert int(asked.headers["content-length"]) == len(asked.body)


def test_large_answers_pass_the_windows(serve):
    server = serve(lambda asked: (bytes(60_000), "keep"), kind=Http2Server)
    report = drive(plan(server, streams=1))
    assert report.ok, report.troubles
    assert report.received > 60_000 * report.requests


def test_a_reset_stream_ends_one_request_and_not_the_connection(serve):
    def behave(asked):
        return b"", "reset" if int(asked.target[1:]) % 3 == 2 else "keep"

    server = serve(behave, kind=Http2Server)
    report = drive(plan(server, connections=1, streams=4, mix=(Template(target="/{n}"),)))
    assert set(report.failures) == {"reset"}
    assert report.failures["reset"] + report.requests == len(server.log)
    assert report.failures["reset"] == sum(int(a.target[1:]) % 3 == 2 for a in server.log)
    assert server.connections == 1


def test_goaway_is_a_close(serve):
    server = serve(lambda asked: (b"", "close"), kind=Http2Server)
    report = drive(plan(server, connections=1, duration=0.1))
    assert report.requests == 0
    assert set(report.failures) == {"closed"}


@pytest.mark.parametrize("rate", [None, 100.0])
def test_goaway_after_an_answer_is_no_failure(serve, rate):
    """nginx says it after 1,000 requests of a connection."""
    server = serve(ok, kind=Http2Server)
    mix = (Template(target="/last"),)
    report = drive(plan(server, connections=2, mix=mix, rate=rate))
    assert report.ok, report.troubles
    assert report.requests == len(server.log)
    assert 0 <= server.connections - report.requests <= 2


def test_a_stream_that_waits_too_long_is_a_timeout_and_the_others_go_on(serve):
    def behave(asked):
        return b"", "hang" if asked.target == "/0" else "keep"

    server = serve(behave, kind=Http2Server)
    mix = (Template(target="/{n}"),)
    # the conftest's "hang" answers nothing on that stream and goes on with the others
    report = drive(plan(server, connections=1, streams=4, timeout=0.1, mix=mix, record=True))
    assert report.failures == {"timeout": 1}
    assert [o.id - report.plan.first_id for o in report.outcomes if o.status is None] == [0]
    assert server.connections == 1


def test_http1_garbage_is_no_http2(serve):
    def behave(asked):
        return b"HTTP/1.1 400 Bad Request\r\n\r\n", "close"

    report = drive(plan(serve(behave), duration=0.1))
    assert report.requests == 0
    assert set(report.failures) <= {"protocol", "closed", "reset"}
    assert report.connects == 0


def test_the_open_loop_spreads_over_streams(serve):
    server = serve(ok, kind=Http2Server)
    report = drive(plan(server, connections=1, streams=10, rate=300.0, duration=0.3))
    assert report.requests == 90
    assert server.connections == 1


def test_an_unanswered_preface_is_no_connection(serve, free_port):
    over = threading.Event()
    listener = serve(lambda asked: (over.wait(5) and b"", "close"))
    report = drive(plan(listener, duration=0.1, timeout=0.05, connections=1))
    over.set()
    assert set(report.failures) == {"connect_timeout"}
    assert report.requests == 0


@pytest.mark.parametrize("streams", [1, 5])
def test_an_interrupt_ends_streams_too(serve, streams):
    server = serve(ok, kind=Http2Server)

    def interrupt(look):
        raise KeyboardInterrupt

    report = drive(plan(server, duration=30.0, streams=streams), interrupt)
    assert report.interrupted
    assert report.requests > 0


def test_all_streams_are_asked_at_once(serve):
    server = serve(lambda asked: (b"", "hang"), kind=Http2Server)
    report = drive(plan(server, connections=1, streams=8, timeout=0.5))
    assert server.most == len(server.log) == 8
    assert report.failures == {"timeout": 8}
