"""An instance is put into a registry, kept there, and taken out first."""

import asyncio
import socket
from contextlib import asynccontextmanager

from megahertz import App
from megahertz.engine import Server
from megahertz.errors import ConnectError
from megahertz.govern.registry import Registration
from tests.govern.registry.waiting import until
from tests.virtual import virtual


class Place:
    """A registry of one place that fails and forgets when told to."""

    def __init__(self):
        self.there, self.failures = 0, 0
        self.forgotten = asyncio.Event()

    @asynccontextmanager
    async def hold(self):
        if self.failures:
            self.failures -= 1
            raise ConnectError("away")
        self.there += 1
        try:
            yield self._lost
        finally:
            self.there -= 1

    async def _lost(self):
        await self.forgotten.wait()
        self.forgotten.clear()
        return "forgotten"


@virtual
async def test_it_is_there_while_it_is_open():
    place = Place()
    async with Registration("a", place.hold) as registration:
        assert place.there == 1
        assert registration.statistics().state == "registered"

    assert place.there == 0
    assert registration.statistics().state == "retired"


@virtual
async def test_what_is_lost_is_put_there_again(caplog):
    place = Place()
    async with Registration("a", place.hold) as registration:
        place.failures = 3
        place.forgotten.set()
        await until(lambda: registration.statistics().registered == 2)

        seen = registration.statistics()
        assert (seen.state, seen.losses, seen.trouble, place.there) == ("registered", 4, "", 1)
    assert caplog.text.count("not registered") == 1


@virtual
async def test_without_a_registry_it_begins_all_the_same(caplog):
    place = Place()
    place.failures = 100
    async with Registration("a", place.hold, patience=2.0) as registration:
        assert registration.statistics().state == "lost"
        assert registration.statistics().trouble == "away"
        place.failures = 0
        await until(lambda: place.there)
    assert "begins without its registry: away" in caplog.text


@virtual
async def test_a_start_that_is_cancelled_leaves_nothing_behind():
    place = Place()
    place.failures = 100
    starting = asyncio.create_task(Registration("a", place.hold).__aenter__())
    await asyncio.sleep(1)
    starting.cancel()
    await asyncio.wait([starting])

    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_retiring_lingers_until_callers_have_heard():
    place, loop = Place(), asyncio.get_running_loop()
    async with Registration("a", place.hold, linger=3.0) as registration:
        began = loop.time()
        retiring = asyncio.create_task(registration.retire())
        await until(lambda: not place.there)
        await retiring
        assert loop.time() - began >= 3.0
        await registration.retire()
        assert loop.time() - began < 4.0


async def test_an_application_leaves_the_registry_before_it_refuses_anything():
    place, answers = Place(), []

    class Watching(Registration):
        async def retire(self):
            await super().retire()
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answers.append((place.there, await reader.readline()))
            writer.close()

    app = App(resources=[Watching("a", place.hold, linger=0.0)])

    @app.get("/")
    async def hello() -> str:
        return "hello"

    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with Server(app, [listening]):
            assert place.there == 1

    assert answers == [(0, b"HTTP/1.1 200 OK\r\n")]


async def test_a_registry_that_hangs_does_not_hold_a_stop_up(caplog):
    class Hangs:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *exc):
            return None

        async def retire(self):
            await asyncio.Event().wait()

    async with Server(App(resources=[Hangs()]), []) as server:
        await server.stop(0.05)

    assert "could not say so to everybody: TimeoutError()" in caplog.text
