"""What a worker writes of itself, and what is kept of it when it has ended."""

import asyncio

import pytest

from megahertz.engine import Figure, Plane
from megahertz.observe import Sampler, series, tells
from megahertz.observe.collect import collect
from megahertz.observe.families import NAMED
from megahertz.observe.gil import GilWait
from megahertz.observe.process import run_delay
from megahertz.observe.sources import SOURCES, Sums


def found(plane):
    return {
        (family.name, *point.labels): point.value
        for family, points in collect(plane)
        for point in points
    }


class Pool:
    """A source."""

    def __init__(self, told):
        self.told = told

    def figures(self):
        return list(self.told.items())


@pytest.fixture(autouse=True)
def _alone():
    """Other tests' pools live until they are collected."""
    others = list(SOURCES)
    SOURCES.clear()
    yield
    SOURCES.clear()
    for other in others:
        SOURCES.add(other)


async def test_figures_of_sources_are_those_of_the_worker():
    plane, calls = Plane(), series("pool_calls", pool='a"\\b\nc')
    pool = Pool({calls: 3, "redis_waiting": 1})
    tells(pool)
    async with Sampler(plane) as sampler:
        key = (("pool", 'a"\\b\nc'), ("worker", "0"))
        assert found(plane)["pool_calls", *key] == 3
        pool.told = {calls: 4}
        sampler.take()
        assert found(plane)["pool_calls", *key] == 4
        assert ("redis_waiting", ("worker", "0")) not in found(plane)


async def test_the_second_sampler_of_a_plane_leaves_it_to_the_first():
    plane = Plane()
    async with Sampler(plane), Sampler(plane) as second:
        assert found(plane)["tasks", ("worker", "0")] == len(asyncio.all_tasks())
    assert second._gil._thread is None
    async with Sampler(plane) as third:
        assert third._gil._thread is not None


async def test_lateness_is_the_loops():
    """The loop's own beats may add to it: a busy machine is late."""
    plane = Plane()
    async with Sampler(plane) as sampler:
        sampler._beat(0.25)
        sampler._beat(-0.1)
        sampler.take()
        told = found(plane)
    assert told["loop_lag_seconds", ("worker", "0")] >= 0.25
    assert told["loop_late_seconds_total", ("worker", "0")] >= 0.25
    assert told["loop_beats_total", ("worker", "0")] >= 2


async def test_many_tasks_are_not_counted_every_time():
    """Counting took 0.5 s: the next one comes when that is a hundredth of the time."""
    now = [0.0]

    def clock():
        now[0] += 0.5
        return now[0]

    sampler = Sampler(Plane(), clock=clock)
    count = sampler._count_tasks()
    assert (count, sampler._count_at) == (len(asyncio.all_tasks()), 51.0)
    sampler._tasks = 7
    assert sampler._count_tasks() == 7
    now[0] = 51.0
    assert sampler._count_tasks() == count


def test_counters_of_one_that_has_ended_are_kept_and_its_gauges_are_not():
    whole = Plane.shared(2)
    first, second = Plane(whole.fileno()), Plane(whole.fileno())
    Figure(first, "cpu_seconds_total", counter=True).set(2.0)
    Figure(first, "tasks").set(7.0)
    Figure(second, "cpu_seconds_total", counter=True).set(1.0)
    Figure(second, "tasks").set(5.0)
    del first

    told = found(Plane(whole.fileno(), look=True))
    assert told["cpu_seconds_total", ("worker", "0")] == 2.0
    assert ("tasks", ("worker", "0")) not in told
    assert told["tasks", ("worker", "1")] == 5.0

    successor = Plane(whole.fileno())
    Figure(successor, "cpu_seconds_total", counter=True).set(0.5)
    assert found(whole)["cpu_seconds_total", ("worker", "0")] == 2.5


def test_a_counter_of_all_needs_no_part():
    whole = Plane.shared(1)
    whole.count("worker_starts_total", 3)
    whole.count("worker_starts_total")
    assert found(whole)["worker_starts_total",] == 4
    with pytest.raises(Exception, match="only looked at"):
        Plane(whole.fileno(), look=True).count("worker_starts_total")


def test_a_sum_never_goes_back():
    sums, name = Sums(), "redis_commands_total"
    one, two = Pool({name: 5.0, "redis_waiting": 2.0}), Pool({name: 3.0, "redis_waiting": 1.0})
    tells(one)
    tells(two)
    assert sums.take() == {name: 8.0, "redis_waiting": 3.0}
    one.told[name] = 1.0  # a connection that was made again
    assert sums.take()[name] == 9.0
    SOURCES.discard(two)
    assert sums.take() == {name: 9.0, "redis_waiting": 2.0}
    one.told[name] = 2.0
    assert sums.take()[name] == 10.0


class Broken:
    """A source with a bug."""

    def figures(self):
        yield "tasks", 1.0
        raise ValueError("a bug")


def test_a_source_that_raises_is_left_out_and_the_others_are_told(caplog):
    broken, pool = Broken(), Pool({"redis_waiting": 2.0})
    tells(broken)
    tells(pool)
    sums = Sums()
    assert [sums.take(), sums.take()] == [{"redis_waiting": 2.0}] * 2
    assert caplog.text.count("tells no figures any more") == 1


async def test_a_sample_that_fails_is_not_the_last(monkeypatch):
    loop, told, again = asyncio.get_running_loop(), [], asyncio.Event()
    loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))
    monkeypatch.setattr("megahertz.observe.sampler.SAMPLE", 0.001)
    async with Sampler(Plane()) as sampler:
        calls = []

        def fails():
            calls.append(None)
            if len(calls) == 2:
                again.set()
            raise ValueError("full")

        monkeypatch.setattr(sampler, "take", fails)
        await again.wait()
        monkeypatch.undo()
    assert [str(error) for error in told[:2]] == ["full", "full"]


def test_the_wait_for_the_interpreter_is_what_the_scheduler_does_not_explain():
    now, delays, nights = [0], iter([100, 300, 300, 300, 300, None]), []

    def sleep(seconds):
        nights.append(seconds)
        now[0] += int(seconds * 1e9) + (5_000_200 if len(nights) == 1 else 0)
        return False

    wait = GilWait(clock=lambda: now[0], delay=lambda: next(delays), sleep=sleep)
    wait.run()
    assert (wait.looks, wait.seconds) == (2, 0.005)


def test_it_ends_when_it_is_told_and_where_the_kernel_tells_nothing():
    wait = GilWait(delay=lambda: 0, sleep=lambda seconds: True)
    wait.run()
    assert wait.looks == 0
    assert run_delay() is None or run_delay() >= 0


def test_families_have_units_of_their_names():
    assert NAMED["cpu_seconds_total"].unit == "s"
    assert NAMED["resident_memory_bytes"].unit == "By"
    assert NAMED["tasks"].unit == "1"
