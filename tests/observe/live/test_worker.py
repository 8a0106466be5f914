"""What a worker tells of itself, from a thread."""

import asyncio
import logging
import socket
import threading
from pathlib import Path

from megahertz import App, Policy, Shed
from megahertz.engine import Server
from megahertz.observe import Worker
from megahertz.observe.live import worker as module
from megahertz.observe.live.events import LONGEST, MOST, Events

LINES = Path(__file__).read_text().splitlines()
HERE = LINES.index("        await go.wait()  # here") + 1


async def test_a_loop_that_turns_tells_its_figures():
    worker = Worker(asyncio.get_running_loop())
    state = await asyncio.to_thread(worker.state)
    assert (state.pid, state.blocked, state.statistics) == (worker.pid, None, {})
    assert state.tasks >= 1
    assert 0.0 <= state.lag < 60.0


async def test_a_loop_that_does_not_turn_is_said_to_be_blocked_where_it_is():
    worker = Worker(asyncio.get_running_loop())
    found = []
    looking = threading.Thread(target=lambda: found.append(worker.state()))
    looking.start()
    looking.join()  # the line that blocks the loop
    (state,) = found
    assert f"{__file__}:" in state.blocked
    assert "is_said_to_be_blocked_where_it_is" in state.blocked
    assert state.lag >= module.PATIENCE


def test_a_loop_that_is_closed_tells_what_was_known():
    loop = asyncio.new_event_loop()
    worker = Worker(loop)
    loop.close()
    assert worker.state().tasks is None


async def test_tasks_are_not_counted_more_often_than_that_is_worth():
    now = [0.0]

    def clock():
        now[0] += 1.0  # each look at it takes a second
        return now[0]

    worker = Worker(asyncio.get_running_loop(), clock=clock)
    before = await asyncio.to_thread(worker.state)
    more = [asyncio.create_task(asyncio.sleep(1000)) for _ in range(5)]
    soon = await asyncio.to_thread(worker.state)
    now[0] += 1000
    later = await asyncio.to_thread(worker.state)
    assert soon.tasks == before.tasks
    assert later.tasks == before.tasks + 5
    for task in more:
        task.cancel()


async def test_requests_that_wait_are_told_with_their_line():
    app = App(policy=Policy(shed=Shed()))
    inside, go = asyncio.Event(), asyncio.Event()

    async def deep():
        inside.set()
        await go.wait()  # here

    @app.get("/items/{sku}")
    async def item(sku: int) -> int:
        await deep()
        return sku

    ours, theirs = socket.socketpair()
    async with Server(app, []) as server:
        server.adopt(theirs)
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(b"GET /items/7 HTTP/1.1\r\nhost: a\r\n\r\n")
        await inside.wait()
        state = await asyncio.to_thread(Worker(asyncio.get_running_loop(), server).state)
        go.set()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
    (held,) = state.held
    assert (held.route, held.path) == ("GET /items/{sku}", "/items/7")
    assert held.seconds > 0
    assert f"{__file__}:{HERE} in " in held.where
    assert state.statistics["running"] == 1


def test_events_are_kept_once_each_with_the_users_line():
    events = Events()
    events.open()
    log = logging.getLogger("megahertz")
    try:
        for _ in range(3):
            try:
                raise ValueError("why")
            except ValueError:
                log.exception("it failed")
        log.warning("x" * 1000)
        log.info("not this")
    finally:
        events.close()
    log.error("nor this")
    long, failed = events.events()
    assert (long.level, len(long.message), long.count) == ("warning", LONGEST, 1)
    assert (failed.message, failed.count) == ("it failed", 3)
    assert failed.where.startswith(f"{__file__}:")


def test_only_the_last_events_are_kept():
    events = Events()
    for number in range(MOST + 5):
        record = logging.makeLogRecord({"msg": str(number), "levelname": "ERROR"})
        events.emit(record)
    assert [events.events()[0].message, len(events.events())] == [str(MOST + 4), MOST]


async def test_the_one_of_the_process_is_the_one_that_was_opened_last():
    first = Worker(asyncio.get_running_loop()).open()
    second = Worker(asyncio.get_running_loop()).open()
    first.close()
    assert Worker.active is second
    second.close()
    assert Worker.active is None
