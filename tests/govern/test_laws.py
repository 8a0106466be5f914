"""The engine's limiters against models of them: exact, then with racing threads and processes."""

import subprocess
import sys
import threading
from collections import Counter
from functools import partial
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from megahertz.engine import Limiter, Plane
from tests.govern.models import Tokens, Turns, Windows

SECOND = 1_000_000_000

rates = st.sampled_from([1, 8, 1000, 50_000, 10_000_000])
"""Steps of whole nanoseconds: then the models are exact."""
bursts = st.integers(1, 20)
gaps = st.lists(st.integers(0, 60), min_size=1, max_size=80)
starts = st.sampled_from([0, 1, SECOND - 1, 86_400 * 365 * SECOND, (1 << 62) + 12345])


def limiter(law, **numbers):
    return Limiter(Plane(), law, law, **numbers)


@given(rates, bursts, starts, gaps, st.integers(1, 3))
def test_gcra_admits_what_a_token_bucket_does(rate, burst, now, gaps, cost):
    step = SECOND // rate
    limit, model = limiter("gcra", rate=rate, burst=burst), Tokens(step, burst)
    for gap in gaps:
        now += gap * step // 10
        wait = limit.acquire(cost=cost, now=now)
        admitted = model.admits(now, cost)
        assert wait == (0.0 if admitted else ceil(model.wait(cost)) / 1e9)


@given(rates, bursts, starts, gaps)
def test_leaky_gives_the_turns_of_a_queue(rate, burst, now, gaps):
    step = SECOND // rate
    limit, model = limiter("leaky", rate=rate, burst=burst), Turns(step, burst)
    for gap in gaps:
        now += gap * step // 10
        wait, turn = limit.acquire(now=now), model.turn(now)
        assert (wait <= 0) == (turn is not None)
        if turn is not None:
            assert wait == -turn / 1e9


@given(st.integers(1, 40), st.sampled_from([1e-6, 0.001, 1.0, 60.0]), starts, gaps)
def test_a_window_counts_as_the_definition_does(rate, per, now, gaps):
    length = int(per * 1e9)
    limit, model = limiter("window", rate=rate, per=per), Windows(rate, length)
    for gap in gaps:
        now += gap * length // 50
        for _ in range(3):
            wait = limit.acquire(now=now)
            assert (wait == 0) == model.admits(now)


@given(
    st.sampled_from(["gcra", "window"]), rates.filter(lambda rate: rate < 4e6), bursts, starts, gaps
)
def test_who_waits_as_told_is_admitted_and_not_before(law, rate, burst, now, gaps):
    limit = limiter(law, rate=rate, burst=burst)
    for gap in gaps:
        now += gap * SECOND // rate // 10
        wait = ceil(limit.acquire(now=now) * 1e9)
        if wait:
            if law == "gcra" and wait > 2:
                assert limit.acquire(now=now + wait - 2) > 0, "nobody waits longer than needed"
            now += wait + 1  # seconds as float have lost the last nanosecond
            assert limit.acquire(now=now) == 0


@given(rates, bursts, gaps)
def test_a_refused_call_books_nothing(rate, burst, gaps):
    step = SECOND // rate
    asked, quiet = (limiter("gcra", rate=rate, burst=burst) for _ in range(2))
    now = 0
    for gap in gaps:
        now += gap * step // 10
        waits = [asked.acquire(now=now) for _ in range(burst + 5)]
        admitted = waits.count(0.0)
        assert [quiet.acquire(now=now) for _ in range(admitted)] == [0.0] * admitted
    assert asked.statistics()[0] == quiet.statistics()[0]


class Keys(RuleBasedStateMachine):
    """Keys are apart, whatever the order; more of them than there is room never makes any looser
    than a new one is."""

    @initialize(law=st.sampled_from(["gcra", "leaky", "window"]))
    def begin(self, law):
        self.limit = limiter(law, rate=8, burst=3, keys=4096)
        step = SECOND // 8
        make = {
            "gcra": lambda: Tokens(step, 3).admits,
            "leaky": lambda: (lambda turns: lambda now: turns.turn(now) is not None)(
                Turns(step, 3)
            ),
            "window": lambda: Windows(8, SECOND).admits,
        }
        self.make, self.models, self.now = make[law], {}, 10 * SECOND

    @rule(key=st.sampled_from("abcdefgh"), gap=st.integers(0, SECOND))
    def call(self, key, gap):
        self.now += gap
        model = self.models.setdefault(key, self.make())
        assert (self.limit.acquire(key, now=self.now) <= 0) == model(self.now)


TestKeys = Keys.TestCase


LAWS = {"gcra": 64, "leaky": 65, "window": 64}
"""Calls that are admitted at one moment: a queue lets one go at once, and 64 wait."""


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("key", [None, "somebody"])
def test_threads_that_race_are_admitted_no_more(law, key):
    limit = limiter(law, rate=64, burst=64, keys=16)
    admitted, ready = [], threading.Barrier(4)

    def call():
        ready.wait()
        admitted.append(sum(limit.acquire(key, now=5 * SECOND) <= 0 for _ in range(2000)))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(admitted) == LAWS[law]
    assert limit.statistics(5 * SECOND)[:2] == (LAWS[law], 8000 - LAWS[law])


PROCESS = """
import sys
from megahertz.engine import Limiter, Plane

plane = Plane(int(sys.argv[1]))
for moment in (5, 500):
    sys.stdin.readline()
    for law in ("gcra", "leaky", "window"):
        limit = Limiter(plane, law, law, rate=64, burst=64, keys=16)
        calls = [limit.acquire("somebody", now=moment * 10**9) for _ in range(2000)]
        print(law, sum(wait <= 0 for wait in calls), flush=True)
"""


def test_processes_that_race_are_admitted_no_more():
    plane = Plane.shared(4)
    command = [sys.executable, "-c", PROCESS, str(plane.fileno())]
    start = partial(subprocess.Popen, command, pass_fds=[plane.fileno()], text=True)
    processes = [start(stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for _ in range(2):
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        lines = [process.stdout.readline().split() for process in processes for _ in LAWS]
        admitted = Counter()
        for law, calls in lines:
            admitted[law] += int(calls)
        assert admitted == LAWS
    for process in processes:
        process.communicate(timeout=60)

    looking = Plane(plane.fileno())
    for law, most in LAWS.items():
        limit = Limiter(looking, law, law, rate=64, burst=64, keys=16)
        assert limit.statistics(500 * SECOND)[:2] == (2 * most, 12_000 - 2 * most)
