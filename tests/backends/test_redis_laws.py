"""The script of the laws, in a real Redis; time is the test's where a law is compared."""

import asyncio
import subprocess
import sys
import time
from math import ceil

import pytest
import redis as plain
import redis.asyncio as redis_py
from hypothesis import given, settings
from hypothesis import strategies as st

from megahertz.backends import Redis, RedisLaws, rule
from megahertz.backends.redis_laws import SCRIPT
from megahertz.errors import BackendError, RemoteError
from tests.govern.models import Tokens, Turns, Windows

LIFE = "math.ceil(micros / 1000) + 1"
assert LIFE in SCRIPT
SECOND = 1_000_000
"""Redis counts in microseconds."""

steps = st.sampled_from([1, 7, 1000, 20_000, SECOND])
bursts = st.integers(1, 10)
gaps = st.lists(st.integers(0, 40), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def redis(new_redis):
    """One for the module: keys are new each time."""
    server = new_redis()
    yield server
    server.stop()


class Told:
    """The script with a clock of the test's, which Redis's own does not make forget anything."""

    def __init__(self, server, life="3600000"):
        self.client = plain.Redis.from_url(server.url)
        script = (SCRIPT % "{ARGV[5], ARGV[6]}").replace(LIFE, life)
        self.script = self.client.register_script(script)
        self.key = f"told:{time.perf_counter_ns()}"

    def decide(self, law, now, first, second, cost=1):
        seconds, micros = divmod(now, SECOND)
        told = [law, cost, first, second, seconds + 1_800_000_000, micros]
        return self.script([self.key], told)


@settings(max_examples=60)
@given(steps, bursts, gaps, st.integers(1, 3))
def test_gcra_admits_what_a_token_bucket_does(redis, step, burst, gaps, cost):
    told, model, now = Told(redis), Tokens(step, burst), 0
    for gap in gaps:
        now += gap * step // 8
        admitted, wait = told.decide("gcra", now, step, step * (burst - 1), cost)
        assert admitted == model.admits(now, cost)
        assert wait == (0 if admitted else ceil(model.wait(cost)))


@settings(max_examples=60)
@given(steps, st.integers(0, 10), gaps)
def test_leaky_gives_the_turns_of_a_queue(redis, step, burst, gaps):
    told, model, now = Told(redis), Turns(step, burst), 0
    for gap in gaps:
        now += gap * step // 8
        admitted, wait = told.decide("leaky", now, step, step * burst)
        turn = model.turn(now)
        assert admitted == (turn is not None)
        if admitted:
            assert wait == turn


@settings(max_examples=60)
@given(st.integers(1, 20), st.sampled_from([10, 1000, SECOND]), gaps)
def test_a_window_counts_as_the_definition_does(redis, limit, length, gaps):
    told, model, now = Told(redis), Windows(limit, length), 0
    for gap in gaps:
        now += gap * length // 40
        for _ in range(3):
            admitted, wait = told.decide("window", now, limit, length)
            assert admitted == model.admits(now)
            if not admitted:
                assert 1 <= wait <= 2 * length


@settings(max_examples=30)
@given(st.integers(1, 20), st.sampled_from([1000, SECOND]), gaps)
def test_who_waits_for_a_window_as_told_is_admitted(redis, limit, length, gaps):
    told, now = Told(redis), 0
    for gap in gaps:
        now += gap * length // 40
        admitted, wait = told.decide("window", now, limit, length)
        if not admitted:
            now += wait
            assert told.decide("window", now, limit, length)[0] == 1


@pytest.mark.parametrize("law", ["gcra", "leaky", "window"])
def test_a_clock_that_steps_back_neither_admits_more_nor_shuts_out(redis, law):
    told = Told(redis)
    first, second = (10, SECOND) if law == "window" else (SECOND // 10, SECOND * 9 // 10)
    now = 5000 * SECOND
    while told.decide(law, now, first, second)[0]:
        pass

    now -= 3600 * SECOND
    admitted = [told.decide(law, now, first, second) for _ in range(20)]
    assert [each for each in admitted if each[0]] == []
    assert all(wait <= 2 * SECOND for _, wait in admitted)
    now += 2 * SECOND
    assert told.decide(law, now, first, second)[0] == 1


def test_what_says_nothing_any_more_is_forgotten(redis):
    told = Told(redis, LIFE)
    told.decide("gcra", 0, 100 * SECOND, 0)
    assert 0 < told.client.pttl(told.key) <= 100_001
    told.key += "w"
    told.decide("window", 0, 10, 100 * SECOND)
    assert 0 < told.client.pttl(told.key) <= 200_001


async def test_it_is_loaded_when_it_is_missing(redis_server):
    laws = RedisLaws(redis_server.url, timeout=5)
    law = rule("gcra", 1, 60, 2)

    assert [await laws.decide("a", law) for _ in range(2)] == [0.0, 0.0]
    assert 0 < await laws.decide("a", law) <= 60
    await laws._client.execute_command("SCRIPT", "FLUSH")
    assert 0 < await laws.decide("a", law) <= 60
    await laws.aclose()


@pytest.mark.parametrize("library", [redis_py.Redis, Redis], ids=["redis-py", "ours"])
async def test_a_client_of_the_callers_own_stays_open(redis_server, library):
    client = library.from_url(redis_server.url)
    laws = RedisLaws(client, timeout=5)
    assert await laws.decide("a", rule("leaky", 1, 60, 5)) == 0.0
    assert -60 <= await laws.decide("a", rule("leaky", 1, 60, 5)) < -59
    await laws.aclose()
    assert await client.ping()
    await client.aclose()


async def test_two_clients_race_and_the_law_holds(redis_server):
    one, other = (RedisLaws(redis_server.url, timeout=30) for _ in range(2))
    law = rule("gcra", 1, 3600, 100)

    waits = await asyncio.gather(*[each.decide("a", law) for each in (one, other) * 200])

    assert waits.count(0.0) == 100
    await one.aclose()
    await other.aclose()


async def test_a_redis_that_is_away_or_silent_or_refuses(redis_server):
    laws = RedisLaws(redis_server.url, timeout=0.05)
    foreign = RedisLaws(redis_py.Redis.from_url(redis_server.url), timeout=0.05)
    law = rule("gcra", 1, 1, 1)
    redis_server.pause()
    for each in (laws, foreign):
        with pytest.raises(BackendError):
            await each.decide("a", law)
    redis_server.resume()
    patient = RedisLaws(redis_server.url, timeout=5)
    await patient._client.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")
    for each in (patient, RedisLaws(foreign._client, timeout=5)):
        with pytest.raises(RemoteError):
            await each.decide("a", law)
    redis_server.stop()
    for each in (laws, foreign):
        with pytest.raises(BackendError):
            await each.decide("a", law)
    redis_server.start()
    await laws.aclose()
    await patient.aclose()
    await foreign._client.aclose()


def test_redis_py_is_imported_by_who_gives_its_client_alone():
    told = "import sys, megahertz; print('redis' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
