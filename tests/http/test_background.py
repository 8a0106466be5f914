import asyncio
import threading
from typing import Annotated

import pytest

from megahertz import App, BackgroundTasks, Depends, HTTPError, StreamingResponse, WebSocket
from megahertz.errors import BadRoute, Overloaded
from megahertz.http import Background, Threads
from megahertz.testing import Client


def test_tasks_run_in_order_after_the_answer():
    app, sent, done = App(), threading.Event(), []

    def plain(name):
        sent.wait()
        done.append((name, threading.current_thread().name.startswith("megahertz_")))

    async def waiting(name, *, times):
        done.append((name, times))

    async def audit(tasks: BackgroundTasks) -> None:
        tasks.add_task(plain, "audit")

    @app.get("/", dependencies=[Depends(audit)])
    async def handler(tasks: BackgroundTasks) -> str:
        tasks.add_task(plain, "mail")
        tasks.add_task(waiting, "push", times=2)
        return "ok"

    with Client(app) as client:
        assert client.get("/").text == "ok"
        assert app.background.statistics().waiting == 3
        sent.set()
    assert done == [("audit", True), ("mail", True), ("push", 2)]
    statistics = app.background.statistics()
    assert (statistics.waiting, statistics.done, statistics.failed) == (0, 3, 0)


def test_a_def_handler_leaves_tasks_too():
    app, done = App(), []

    @app.get("/")
    def handler(tasks: BackgroundTasks) -> str:
        tasks.add_task(done.append, 1)
        return "ok"

    with Client(app) as client:
        assert client.get("/").text == "ok"
    assert done == [1]


def test_they_come_after_a_stream_and_before_what_dependencies_end():
    app, done = App(), []

    async def session():
        yield "session"
        done.append("session ends")

    @app.get("/")
    async def handler(
        tasks: BackgroundTasks, session: Annotated[str, Depends(session)]
    ) -> StreamingResponse:
        tasks.add_task(done.append, session)

        async def pieces():
            yield "ok"
            done.append("stream")
            tasks.add_task(done.append, "late")

        return StreamingResponse(pieces())

    with Client(app) as client:
        assert client.get("/").text == "ok"
    assert done == ["stream", "session", "late", "session ends"]
    assert app.background.statistics().waiting == 0


def test_a_task_that_fails_is_logged_and_the_next_one_runs(caplog):
    app, done = App(), []

    def failing():
        raise ValueError("no mail today")

    @app.get("/")
    async def handler(tasks: BackgroundTasks) -> str:
        tasks.add_task(failing)
        tasks.add_task(lambda: done.append(1))
        return "ok"

    with Client(app) as client:
        assert client.get("/").text == "ok"
    assert done == [1]
    assert "no mail today" in caplog.text
    assert app.background.statistics().failed == 1


def test_tasks_of_a_request_that_is_refused_do_not_run():
    app, done = App(), []

    @app.get("/")
    async def handler(tasks: BackgroundTasks) -> str:
        tasks.add_task(done.append, 1)
        raise HTTPError(409, "no")

    with Client(app) as client:
        assert client.get("/").status_code == 409
    assert done == []


def test_too_many_of_them_refuse_the_request():
    app, go = App(), threading.Event()
    app.background = Background(app.threads, lambda error, where: None, waiting=2)

    @app.get("/{count}")
    async def handler(count: int, tasks: BackgroundTasks) -> str:
        for _ in range(count):
            tasks.add_task(go.wait)
        return "ok"

    with Client(app) as client:
        assert client.get("/2").status_code == 200
        reply = client.get("/1")
        assert (reply.status_code, reply.json()["code"]) == (503, "refused.overloaded")
        assert client.get("/0").status_code == 200
        go.set()
    assert app.background.statistics().refused == 1


async def test_a_server_that_stops_waits_for_them_and_then_cancels():
    threads = Threads()
    background, tasks = Background(threads, lambda error, where: None), BackgroundTasks()
    tasks.add_task(asyncio.Event().wait)
    tasks.add_task(print)
    background.admit(tasks)
    running = asyncio.create_task(background.run(tasks))
    await asyncio.sleep(0)
    running.cancel("server closed")
    with pytest.raises(asyncio.CancelledError):
        await running
    background.release(tasks)
    assert background.statistics().waiting == 0
    threads.close()


def test_the_bound_is_exact():
    background, tasks = (
        Background(Threads(), lambda error, where: None, waiting=1),
        BackgroundTasks(),
    )
    tasks.add_task(print)
    background.admit(tasks)
    with pytest.raises(Overloaded):
        background.admit(tasks)


def test_a_websocket_has_none():
    app = App()

    @app.websocket("/")
    async def handler(websocket: WebSocket, tasks: BackgroundTasks) -> None: ...

    with pytest.raises(BadRoute, match="a WebSocket has no answer"):
        _ = app.routes
