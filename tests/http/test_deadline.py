"""Deadlines inside of handlers: in the engine's own task, and under another server."""

import asyncio
import time
from typing import Annotated

import httpx

from megahertz import (
    App,
    BackgroundTasks,
    Depends,
    Policy,
    Request,
    WebSocket,
    cancel_reason,
    deadline,
)
from megahertz.context import DEADLINE
from megahertz.testing import Client


def late_app():
    app = App()

    @app.get("/late")
    async def late() -> str:
        with deadline(0.01):
            await asyncio.Event().wait()
        return "never"

    @app.get("/instead")
    async def instead() -> str:
        try:
            async with deadline(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            await asyncio.sleep(0)
            return f"instead {asyncio.current_task().cancelling()}"
        return "never"

    return app


def test_a_block_that_is_late_is_504_and_may_be_caught():
    with Client(late_app()) as client:
        for _ in range(2):
            answer = client.get("/late")
            assert answer.status_code == 504
            assert answer.json()["code"] == "expired.deadline"
            assert client.get("/instead").text == "instead 0"


async def test_under_another_server_too():
    app, reasons = late_app(), []

    @app.get("/left", policy=Policy(deadline=50))
    async def left() -> bool:
        return 0 < deadline() <= 50

    @app.get("/why", policy=Policy(deadline=0.01))
    async def why() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(cancel_reason())

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://shop"
    ) as client:
        assert (await client.get("/late")).status_code == 504
        assert (await client.get("/instead")).text == "instead 0"
        assert (await client.get("/left")).json() is True
        assert (await client.get("/why")).status_code == 504
    assert reasons == ["deadline exceeded"]
    assert deadline() is None


def test_the_engine_tells_why():
    app, reasons = App(), []

    @app.get("/", policy=Policy(deadline=0.01))
    async def why() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reasons.append(cancel_reason())

    with Client(app) as client:
        assert client.get("/").status_code == 504
    assert reasons == ["deadline exceeded"]


def test_what_outlives_an_answer_is_not_bound_by_its_deadline():
    app, left = App(), {}

    async def note(where: str) -> None:
        with deadline(50):
            await asyncio.sleep(0)
        left[where] = deadline()

    async def session():
        yield "session"
        await note("end of a dependency")

    @app.get("/")
    async def late(
        request: Request, tasks: BackgroundTasks, session: Annotated[str, Depends(session)]
    ) -> str:
        DEADLINE.set(time.monotonic())
        tasks.add_task(note, "background task")
        await request.connection.create_task(note("task of a connection"))
        return session

    @app.websocket("/talk")
    async def talk(websocket: WebSocket) -> None:
        DEADLINE.set(time.monotonic())
        await websocket.accept()
        await note("websocket")
        await websocket.send("done")

    with Client(app) as client:
        assert client.get("/").text == "session"
        with client.websocket_connect("/talk") as session:
            assert session.receive() == "done"
    assert left == dict.fromkeys(
        ["end of a dependency", "background task", "task of a connection", "websocket"]
    )
