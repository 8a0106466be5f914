import json
import time

import pytest
from click.testing import CliRunner

from benchmarks import redis_limits, result
from benchmarks.build import Missing
from benchmarks.caller import call
from benchmarks.redis_limits import Course, judged, table

COURSE = Course(killed=6.5, ready=11.5, end=18.0)


def told(rate, *, absences):
    """Evenly so many calls a second, a tenth of them each tenth."""
    passed = {str(tenth): rate // 10 for tenth in range(180)}
    return {"passed": passed, "absences": absences, "made": 90_000, "slowest": 0.05}


def test_each_part_of_the_run_is_judged_by_itself():
    servers = [told(500, absences=[[6.52, 11.8]]), told(500, absences=[[6.51, 12.0]])]
    servers[0]["passed"]["80"] += 100
    found = judged(COURSE, servers, 1000.0)

    assert (found["with_redis"], found["again"]) == pytest.approx((1000, 1000))
    assert found["alone"] == pytest.approx(1000 + 100 / 4.9)
    assert found["alone_most"] == pytest.approx(1000 + 10 / 4.9)
    assert found["noticed"] == pytest.approx(0.02)
    assert found["recovered"] == pytest.approx(0.5)
    assert found["absences"] == [1, 1]


def test_a_server_that_never_noticed_is_seen():
    found = judged(COURSE, [told(500, absences=[])], 1000.0)
    assert found["noticed"] == pytest.approx(18.0 - 6.5)


async def test_a_server_calls_and_tells(redis_server, capsys):
    await call(redis_server.url, 0.001, 500, time.monotonic(), 0.2)
    found = json.loads(capsys.readouterr().out)

    assert 0 < sum(found["passed"].values()) <= 20, "its burst, and its share of one if Redis hung"
    assert found["made"] > 0


async def test_a_server_without_redis_tells_that_it_was_away(redis_server, capsys):
    redis_server.stop()
    await call(redis_server.url, 0.001, 500, time.monotonic(), 0.2)
    redis_server.start()
    assert json.loads(capsys.readouterr().out)["absences"]


def test_a_store_is_killed_and_comes_back():
    store = redis_limits.Store()
    store.kill()
    store.start()
    store.kill()


def test_a_run_is_a_table(monkeypatch):
    servers = [told(500, absences=[[6.5, 12.0]])] * 2
    monkeypatch.setattr(redis_limits, "run", lambda rate, seconds: (COURSE, servers))
    ran = CliRunner().invoke(redis_limits.main, ["--seconds", "5"])

    assert ran.exit_code == 0
    assert "| Redis back | 1,000.0 | 1,000 |" in ran.output
    assert "500 ms after it answered" in ran.output
    monkeypatch.setattr(result, "is_release", lambda: False)
    assert "make install" in CliRunner().invoke(redis_limits.main, ["--save"]).output


def test_what_is_missing_is_told(monkeypatch):
    def missing(rate, seconds):
        raise Missing("redis-server")

    monkeypatch.setattr(redis_limits, "run", missing)
    ran = CliRunner().invoke(redis_limits.main, [])
    assert (ran.exit_code, "redis-server" in ran.output) == (1, True)


def test_the_page_has_its_place():
    found = {
        "when": "2026-11-21T00:00:00",
        "commit": "c",
        "machine": {"cpu": "x", "cores": 2, "kernel": "6"},
        "method": {"rate": 1000.0, "seconds": 5.0},
        "figures": judged(COURSE, [told(500, absences=[[6.5, 12.0]])] * 2, 1000.0),
    }
    assert table(found)[2] == "| with Redis | 1,000.0 | 1,000 |"
