import threading
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from megahertz.engine import Latencies
from megahertz.errors import BadSettings
from megahertz.load import Bounds, Part, Plan, Sample, Search, Template, drive, search
from megahertz.load.findings import PILE_UP, first, pile_up
from megahertz.load.knee import judged


class Reply(NamedTuple):
    data: bytes
    then: str = "keep"


def reply(status):
    return Reply(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status)


class Bucket:
    """A server of a known capacity: tokens of a bucket, 429 beyond.

    Time is that of the schedule (request `n` of a rate is due at `n / rate`), so that a machine
    that is busy elsewhere changes no answer.
    """

    def __init__(self, capacity, burst):
        self.capacity, self.burst = capacity, burst
        self.rate = 1.0
        self._lock = threading.Lock()

    def begin(self, rate):
        self.rate, self._tokens, self._last = rate, float(self.burst), 0.0

    def __call__(self, asked):
        with self._lock:
            now = int(asked.target[1:]) / self.rate
            elapsed = max(0.0, now - self._last)
            self._tokens = min(self.burst, self._tokens + elapsed * self.capacity)
            self._last = max(self._last, now)
            if self._tokens < 1:
                return reply(429)
            self._tokens -= 1
            return reply(200)


@pytest.mark.parametrize("capacity", [300, 570])
def test_the_knee_of_a_known_capacity_is_within_a_tenth_of_it(serve, capacity):
    bucket = Bucket(capacity, burst=2)
    server = serve(bucket)

    def attempt(plan):
        bucket.begin(plan.rate)
        return drive(plan)

    # one connection keeps the order; it answers thousands a second
    plan = Plan(url=server.url, mix=(Template(target="/{n}"),), connections=1, warmup=0.0)
    # what is asked is how many are let in; the time that this machine takes for it is not
    bounds = Bounds(p999=5.0, errors=0.001)
    how = Search(start=100, seconds=0.25, within=0.05)
    steps = []
    knee = search(attempt, plan, bounds=bounds, how=how, tell=steps.append)
    assert knee.rate == pytest.approx(capacity, rel=0.1)
    assert knee.breaks == pytest.approx(capacity, rel=0.1)
    assert knee.why.name == "errors"
    assert tuple(steps) == knee.steps
    assert [step.rate for step in steps[:2]] == [100, 200]


def test_the_search_ends_where_nothing_holds_or_nothing_breaks(serve):
    server = serve(lambda asked: reply(503 if asked.target == "/bad" else 200))
    how = Search(start=50, most=100, seconds=0.1)
    plan = Plan(url=server.url, connections=2, warmup=0.0)
    bounds = Bounds(p999=5.0)
    good = search(drive, plan, bounds=bounds, how=how)
    assert (good.rate, good.breaks, good.why) == (100, None, None)
    bad = search(drive, replace(plan, mix=(Template(target="/bad"),)), bounds=bounds, how=how)
    assert (bad.rate, bad.breaks) == (None, 50)
    assert bad.why.name == "errors"
    assert [step["holds"] for step in bad.as_dict()["steps"]] == [False]


SUMS = {
    "errors": (Part("a", 1.0, Counter({200: 99}), 0, Counter({"reset": 1})), "1.00% failed"),
    "latency": (Part("a", 1.0, Counter({200: 50})), "50 answers/s of 100"),
}


@pytest.mark.parametrize("name", SUMS)
def test_what_no_single_sample_shows_the_whole_step_does(name):
    total, words = SUMS[name]
    step = judged(100.0, SimpleNamespace(total=total, samples=[]), Bounds())
    assert not step.holds
    assert (step.why.name, step.why.text) == (name, words)


def test_a_slow_step_is_slow_in_sum_too():
    latencies = Latencies()
    latencies.record(0.2)
    total = Part("a", 1.0, Counter({200: 100}), latencies=latencies)
    step = judged(100.0, SimpleNamespace(total=total, samples=[]), Bounds())
    assert str(step.why).startswith("latency at 0.0 s: P99.9 is 200")


def test_an_interrupt_ends_the_search(serve):
    server = serve(lambda asked: reply(200))

    def attempt(plan):
        def interrupt(look):
            raise KeyboardInterrupt

        return drive(plan, interrupt)

    plan = Plan(url=server.url, connections=2, warmup=0.0)
    found = search(attempt, plan, bounds=Bounds(p999=5.0), how=Search(start=50, seconds=9.0))
    assert len(found.steps) == 1


@pytest.mark.parametrize(
    "changes", [{"start": 0}, {"start": 9, "most": 5}, {"seconds": 0}, {"within": 1.0}]
)
def test_a_search_that_cannot_end_is_refused(changes):
    with pytest.raises(BadSettings):
        Search(**changes)


def sample(at, **changes):
    given = {"p50": 0.001, "p99": 0.002, "p999": 0.003, "busy": 0, "backlog": 0, "generator": 0.1}
    given |= {"seconds": 0.2, "rate": 100.0, "failed": 0, "rss": 100_000_000, "tasks": 10.0}
    return Sample(at=at, **(given | changes))


def run(**changes):
    """Two seconds as they should be; from one second on the changes."""
    return [sample(0.2 * n, **(changes if n > 5 else {})) for n in range(1, 11)]


CAUSES = {
    "CPU": {"cpu": 0.99, "p999": 1.0},
    "loop lag": {"lag": 0.3, "p999": 1.0},
    "errors": {"failed": 5, "p999": 1.0},
    "latency": {"p999": 1.0},
}


@pytest.mark.parametrize("name", CAUSES)
def test_what_breaks_at_once_has_the_name_of_its_cause(name):
    found = first(run(**CAUSES[name]), Bounds())
    assert (found.name, found.at) == (name, pytest.approx(1.2))


def test_what_broke_earlier_is_not_blamed_on_what_came_later():
    samples = run(p999=1.0)
    samples[-1] = sample(2.0, p999=1.0, cpu=1.0)
    assert first(samples, Bounds()).name == "latency"


def test_a_run_without_a_break_has_no_cause():
    assert first(run(), Bounds()) is None
    assert first([], Bounds()) is None


def growing(tasks, p999, rate=20e6):
    """RSS grows from the first second on; P99.9 changes half a second later."""
    return [
        sample(
            0.2 * n,
            rss=int(100e6 + rate * max(0.0, 0.2 * n - 1)),
            tasks=float(tasks if n > 5 else 10),
            p999=p999 if n > 12 else 0.003,
        )
        for n in range(1, 21)
    ]


@pytest.mark.parametrize(
    ("p999", "words"), [(0.0105, "rose x 3.5, as the rule"), (0.006, "x 2.0, less")]
)
def test_tasks_and_memory_foretell_the_percentile(p999, words):
    found = pile_up(growing(600, p999))
    assert found.name == PILE_UP
    assert words in found.text
    assert "600 tasks" in found.text


@pytest.mark.parametrize(
    "samples", [growing(400, 0.009), growing(600, 0.009, rate=10e6), run(tasks=600.0, rss=None)]
)
def test_fewer_tasks_or_less_memory_are_no_finding(samples):
    assert pile_up(samples) is None


def test_the_rule_says_so_where_there_is_nothing_to_compare():
    unknown = [replace(each, p999=None) for each in growing(600, 0.009)]
    assert "not known" in pile_up(unknown).text


def test_memory_that_grows_is_a_cause():
    found = first(growing(10, 0.003), Bounds())
    assert found.name == "memory"
    assert "20 MB/s" in found.text or "RSS grows" in found.text
