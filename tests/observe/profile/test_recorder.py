"""What a recording says of a loop, its requests and its threads."""

import asyncio
import contextvars
import gc
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from opentelemetry import trace

from megahertz import App, Policy, Shed
from megahertz.engine import Server
from megahertz.errors import BackendError, BadSettings
from megahertz.observe import Tracing, Worker, profile
from megahertz.observe.current import CURRENT
from megahertz.observe.profile.behalf import ENGINE, Behalf, Behalves, code_of, context_of
from megahertz.observe.profile.loop import NATIVE, LoopTimes
from megahertz.observe.profile.recorder import Recorder
from megahertz.observe.profile.table import Table, lines

LINES = Path(__file__).read_text().splitlines()


def line(mark):
    """The line of this file that ends so."""
    return f"{__file__}:{next(n for n, text in enumerate(LINES, 1) if text.endswith(mark))} in "


class Until:
    """Ends a recording once something was seen; a hundred looks at least were."""

    def __init__(self, recorder, seen):
        self.recorder, self.seen = recorder, seen

    def __call__(self):
        return self.seen(self.recorder)


async def test_a_line_that_blocks_the_loop_is_named_and_so_is_its_route():
    app = App(policy=Policy(shed=Shed()))
    ready, blocked = threading.Event(), threading.Event()

    @app.get("/block")
    async def block() -> str:
        ready.set()
        blocked.wait(60)  # the blocking line
        return "ok"

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.Event().wait()  # the waiting line
        return "never"

    async with Server(app, []) as server:
        recorder = Recorder(Worker(asyncio.get_running_loop(), server), rate=500)

        def seen():
            """Until it has been held for longer than a slow turn, and has come after that."""
            now, asked = time.perf_counter_ns() - recorder._began, recorder._asked
            if ready.is_set() and asked is not None and now > 1e9 * (asked + 0.15):
                blocked.set()
            return bool(recorder._loop.blocked) and recorder._waits.table._stacks != {}

        with connected(server, b"/slow") as _, connected(server, b"/block") as reader:
            recording = await asyncio.to_thread(recorder.record, 60.0, seen)
            assert reader.recv(12) == b"HTTP/1.1 200"

    found = profile.findings([recording])
    blocks = next(one for one in found if one.kind == "blocks")
    assert blocks.route == "GET /block"
    assert blocks.where.startswith(line("# the blocking line"))
    assert blocks.longest >= 0.1
    waits = next(one for one in found if one.kind == "waits" and one.route == "GET /slow")
    assert waits.where.startswith(line("# the waiting line"))
    runs = next(one for one in found if one.kind == "runs")
    assert (runs.route, runs.where) == (blocks.route, blocks.where)
    assert recording.cost.taken > 0
    assert [track.label for track in recording.tracks if track.path == "/slow"]
    assert max(lag for _, lag in recording.lags) >= 0.1


class connected:
    """A request on a connection of its own."""

    def __init__(self, server, path):
        self.ours, theirs = socket.socketpair()
        server.adopt(theirs)
        theirs.close()
        self.ours.sendall(b"GET " + path + b" HTTP/1.1\r\nhost: a\r\n\r\n")

    def __enter__(self):
        return self.ours

    def __exit__(self, *exc):
        self.ours.close()


def test_a_loop_that_is_blocked_to_the_end_is_told_too():
    loop = asyncio.new_event_loop()
    recorder = Recorder(Worker(loop), rate=500)
    seen = []

    def gone():
        seen.append(1)
        return time.perf_counter_ns() - recorder._began > 0.2e9

    found = []
    looking = threading.Thread(target=lambda: found.append(recorder.record(60.0, gone)))
    looking.start()
    looking.join()  # it never runs
    loop.close()
    (recording,) = found
    (blocked,) = recording.blocked
    assert blocked.where.startswith(line("# it never runs"))
    assert blocked.label == ENGINE
    assert blocked.seconds >= 0.1


def test_processor_time_of_a_thread_is_that_of_its_route():
    loop = asyncio.new_event_loop()
    ended = threading.Event()

    def handler():
        while not ended.is_set():
            sum(range(1000))

    worker = Worker(loop)
    worker.thread = 0
    recorder = Recorder(worker, rate=500)
    recorder._behalves = Behalves([("GET /thread", handler)])
    thread = threading.Thread(target=handler, name="pool")
    thread.start()
    found = recorder.record(60.0, lambda: len(recorder._running._stacks) > 0)
    ended.set()
    thread.join()
    loop.close()
    stack = next(one for one in found.running if one.thread == "pool")
    assert stack.route == "GET /thread"
    assert 0 < stack.cpu == stack.held


def test_pauses_of_the_collector_are_told():
    loop = asyncio.new_event_loop()
    recorder = Recorder(Worker(loop), rate=500)

    def gone():
        gc.collect()
        return True

    recording = recorder.record(60.0, gone)
    loop.close()
    assert "generation 2" in {pause.label for pause in recording.pauses}
    assert recorder._collects not in gc.callbacks


def test_only_one_records_at_a_time_and_the_interpreter_is_left_as_it_was():
    loop = asyncio.new_event_loop()
    before = sys.getswitchinterval()
    inside = []

    def gone():
        inside.append(sys.getswitchinterval())
        with pytest.raises(BackendError, match="somebody else records"):
            Recorder(Worker(loop)).record(1.0)
        return True

    Recorder(Worker(loop)).record(1.0, gone)
    loop.close()
    assert inside[0] < before
    assert sys.getswitchinterval() == before


@pytest.mark.parametrize(("seconds", "rate"), [(0, 100), (601, 100), (1, 0), (1, 501)])
def test_what_cannot_be_recorded_is_said(seconds, rate):
    loop = asyncio.new_event_loop()
    with pytest.raises(BadSettings):
        Recorder(Worker(loop), rate=rate).record(seconds)
    loop.close()


async def test_whose_a_task_is_its_context_tells():
    """That of a child too, which has no frame of the handler."""
    tracing = Tracing(1.0, keep=8)
    app = App(layers=[tracing])
    behalves = Behalves([])
    told = []

    async def child():
        with tracing.provider.get_tracer("t").start_as_current_span("price"):
            task = asyncio.current_task()
            told.append(behalves.of_task(task, None))
        told.append(behalves.of_task(task, None))

    @app.get("/items/{sku}")
    async def item(sku: int) -> int:
        await asyncio.create_task(child())
        return sku

    async with Server(app, []) as server:
        with connected(server, b"/items/1") as sock:
            await asyncio.to_thread(sock.recv, 1)
    inside, after = told
    assert (inside.route, inside.span) == ("GET /items/{sku}", "price")
    assert (after.route, after.span, after.trace) == ("GET /items/{sku}", "", inside.trace)
    assert len(inside.trace) == 32
    assert trace is not None


async def test_whose_a_task_is_else_its_stack_or_its_name_tells():
    async def job():
        frame = sys._getframe()
        task = asyncio.current_task()
        return [
            Behalves([]).of_task(task, frame),
            Behalves([("GET /", job), ("GET /too", job)]).of_task(task, frame),
        ]

    named, routed = await asyncio.create_task(job())
    assert named.route.startswith("task test_whose_a_task_is_else")
    assert routed == Behalf("GET / | GET /too")
    assert Behalves([]).of_task(None, None) == Behalf(ENGINE)
    assert Behalves([]).of_task(object(), None).route == "(application)"


def test_the_code_of_whatever_answers():
    class Called:
        def __call__(self):
            pass

        def method(self):
            pass

    assert code_of(partial(partial(line), 1)) is line.__code__
    assert code_of(Called()) is Called.__call__.__code__
    assert code_of(Called().method) is Called.method.__code__
    assert code_of(len) is None


async def test_the_context_of_a_task_is_found_in_every_python():
    async def job():
        CURRENT.set(None)
        await asyncio.sleep(0)

    task = asyncio.create_task(job())
    await asyncio.sleep(0)
    assert isinstance(context_of(task), contextvars.Context)
    await task
    assert context_of(object()) is None


def test_stacks_are_bounded():
    table = Table(most=2)
    frame = lines(sys._getframe())
    for route in ("a", "b", "c", "c"):
        table.add(Behalf(route, trace=route), frame, held=1.0)
    numbers = {}
    stacks = table.stacks(numbers)
    assert {(one.route, one.held, one.count) for one in stacks} == {
        ("a", 1.0, 1),
        ("b", 1.0, 1),
        ("(more)", 2.0, 2),
    }
    assert table.left_out == 2
    assert set(numbers) == set(frame)


def test_a_stack_ends_at_who_calls_whatever_there_is_to_do():
    found = []
    thread = threading.Thread(target=lambda: found.append(lines(sys._getframe())))
    thread.start()
    thread.join()
    (stack,) = found
    assert [code.co_name for code, _ in stack] == ["<lambda>"]


def test_neighbours_of_one_sake_are_one_slice(monkeypatch):
    from megahertz.observe.profile import loop as module

    times = LoopTimes()
    stack = lines(sys._getframe())
    times.ran(0.1, 0.1, Behalf("a"), stack)
    times.ran(0.2, 0.1, Behalf("a"), stack)
    times.ran(0.3, 0.1, Behalf("b", "price", "t"), ())
    times.rest(0.5, 0.2)
    first, second = times.slices()
    assert (first.label, first.at, first.seconds) == ("a", 0.0, 0.2)
    assert first.where.startswith(f"{__file__}:")
    assert (second.label, second.where, second.trace) == ("b · price", NATIVE, "t")
    assert times.idle == 0.2

    monkeypatch.setattr(module, "SLICES", 2)
    times.ran(0.6, 0.1, Behalf("c"), stack)
    assert (len(times.slices()), times.left_out) == (2, 1)


def test_a_late_turn_in_which_nothing_was_seen_names_nothing():
    times = LoopTimes()
    times.came((0.0, 5.0))
    times.ran(0.1, 0.1, Behalf("a"), ())
    times.came((0.0, 0.05))
    times.ran(0.1, 0.1, Behalf("a"), ())
    times.came((1.0, 0.5))
    (blocked,) = times.blocked
    assert (blocked.at, blocked.seconds, blocked.label) == (1.0, 0.5, "a")
