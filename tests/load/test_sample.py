import csv
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from megahertz.engine import Latencies
from megahertz.errors import BadSettings
from megahertz.load import Gauge, Plan, Sample, Server, Template, drive, statuses, write
from megahertz.load.sample import COLUMNS, Series

SERVER = {"cpu": None, "rss": None, "tasks": None, "lag": None}


def look(elapsed, milliseconds=(), *, answered=0, failures=(), answers=(), cpu=0.0):
    latencies = Latencies()
    for value in milliseconds:
        latencies.record(value / 1e3)
    return {
        "elapsed": elapsed,
        "answered": answered,
        "latencies": [latencies],
        "failures": list(failures),
        "statuses": list(answers),
        "busy": 3,
        "backlog": 4,
        "cpu": cpu,
    }


def series(**options):
    return Series(2, [statuses("2xx")], **options)


def test_a_sample_is_of_what_came_since_the_last():
    found = series()
    found.look(look(1.0, [1] * 10, answered=10, cpu=0.5), SERVER)
    second = found.look(
        look(
            3.0,
            [1] * 10 + [5] * 4,
            answered=14,
            failures=[(0, "reset", 2), (None, "refused", 1)],
            answers=[(0, 200, 9), (0, 500, 5)],
            cpu=1.5,
        ),
        SERVER | {"rss": 7},
    )
    assert (second.at, second.seconds, second.rate, second.failed) == (3.0, 2.0, 2.0, 8)
    assert second.p50 == second.p999 == pytest.approx(0.005, rel=0.001)
    assert (second.busy, second.backlog, second.generator, second.rss) == (3, 4, 0.25, 7)


def test_an_interval_without_an_answer_has_no_percentile():
    found = series()
    assert found.look(look(0.2), SERVER).p999 is None
    assert found.look(look(0.2), SERVER) is None  # no time has passed


def test_a_long_run_stays_in_bounds_and_keeps_its_worst():
    """Merged, the rates still sum to all answers, and the highest percentile is still there."""
    found = series(most=8)
    values = []
    for number in range(1, 101):
        values.append(500 if number == 37 else 1)
        found.look(look(number * 0.2, values, answered=number), SERVER)
    assert len(found.samples) <= 8
    assert sum(each.rate * each.seconds for each in found.samples) == pytest.approx(100)
    assert sum(each.seconds for each in found.samples) == pytest.approx(20)
    assert max(each.p999 for each in found.samples) == pytest.approx(0.5, rel=0.001)
    assert [each.at for each in found.samples] == sorted(each.at for each in found.samples)


def test_an_interval_that_the_end_cuts_short_belongs_to_the_one_before():
    found = series()
    found.look(look(0.2, [1], answered=10), SERVER | {"cpu": 0.5})
    found.look(look(0.25, [1, 9], answered=10), SERVER | {"cpu": 1.0})
    (only,) = found.samples
    assert (only.at, only.seconds, only.rate) == (0.25, 0.25, 40.0)
    assert only.cpu == pytest.approx(0.6)
    assert only.p999 == pytest.approx(0.009, rel=0.001)


def test_a_file_has_a_row_for_each_sample(tmp_path):
    write([Sample(1.0, 0.2, 5.0, 0, 0.001, None, None, 1, 0, 0.1, rss=5)], tmp_path / "a.csv")
    (row,) = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert tuple(row) == COLUMNS
    assert (row["rate"], row["p50"], row["p999"], row["rss"]) == ("5.0", "0.001", "", "5")


def reply(data):
    body = json.dumps(data).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body), "close"


def test_a_gauge_reads_a_number_out_of_json(serve):
    server = serve(lambda asked: reply({"tasks": [{"alive": 41}, {"alive": 42}]}))
    gauge = Gauge(f"{server.url}stats#tasks.1.alive")
    assert gauge.late is None
    gauge.ask()
    assert (gauge.value, gauge.why) == (42.0, "")
    assert gauge.late > 0
    assert server.log[0].target == "/stats"


@pytest.mark.parametrize("answer", [{"tasks": None}, {"other": 1}, [], "text"])
def test_what_is_no_number_leaves_the_last_and_says_why(serve, answer):
    answers = iter([{"tasks": 5}, answer])
    server = serve(lambda asked: reply(next(answers)))
    gauge = Gauge(f"{server.url}#tasks")
    gauge.ask()
    gauge.ask()
    assert gauge.value == 5
    assert gauge.why


def test_a_gauge_that_is_not_answered_tells_how_late_it_is(serve):
    asked, over = threading.Event(), threading.Event()

    def behave(_):
        asked.set()
        over.wait(10)
        return reply(1)

    gauge = Gauge(serve(behave).url)
    gauge.lag = 0.0
    thread = threading.Thread(target=gauge.ask)
    thread.start()
    asked.wait(10)
    first = gauge.late
    assert gauge.late >= first > 0
    over.set()
    thread.join()
    assert gauge.value == 1


@pytest.mark.parametrize("text", ["tasks", "ftp://h/#a", "http:///a#b"])
def test_what_is_no_gauge_is_refused(text):
    with pytest.raises(BadSettings, match="#key"):
        Gauge(text)


def test_a_run_samples_its_server(serve):
    """The server is this process: its own memory and threads are the oracle."""
    server = serve(lambda asked: (reply({"n": 7, "lag": 0.25})[0], "keep"))
    tasks, lag = Gauge(f"{server.url}#n"), Gauge(f"{server.url}#lag")
    with Server(os.getpid(), tasks=tasks, lag=lag) as looked_at:
        tasks.ask()
        lag.ask()
        plan = Plan(url=server.url, connections=2, warmup=0, duration=0.5)
        report = drive(plan, server=looked_at)
    last = report.samples[-1]
    assert last.rss > 10e6
    assert (last.tasks, last.lag) == (7, 0.25)
    rows = [each for each in report.samples if each.p999 is not None]
    assert sum(each.rate * each.seconds for each in report.samples) == pytest.approx(
        report.answered
    )
    assert rows


def test_the_processor_is_what_was_used_between_two_looks():
    server = Server(os.getpid())
    assert server.look()["cpu"] is None  # there is nothing to compare it with yet
    end = time.process_time() + 0.05  # five ticks of /proc/PID/stat, whatever else runs here
    while time.process_time() < end:
        pass
    assert server.look()["cpu"] > 0


def test_threads_stand_in_for_tasks():
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as process:
        looked = Server(process.pid).look()
        assert looked["tasks"] == 1
        process.stdin.close()
    assert Server(process.pid).look()["tasks"] == 0


def test_nobody_to_look_at_is_nothing():
    assert Server().look() == SERVER
    assert Template().title == "GET"
