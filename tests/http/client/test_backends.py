"""Balancing over real servers and real connections, all in one loop."""

import asyncio
import math
import socket
from collections import defaultdict
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from megahertz import App, Client, testing
from megahertz.clock import Manual
from megahertz.engine import Server
from megahertz.errors import ConnectError
from megahertz.govern import Retry, RetryBudget, Upstream
from megahertz.govern.balance import ConsistentHash, Group, Health, Instance, Probe, RoundRobin

PATIENCE = 60


class Gathering:
    """Handlers wait for each other until so many are there, and then to be let go."""

    def __init__(self, many):
        self._missing = many
        self.complete, self.release = asyncio.Event(), asyncio.Event()

    async def wait(self):
        self._missing -= 1
        if not self._missing:
            self.complete.set()
        await self.release.wait()


class Told(Group):
    """A group that says when a probe has told it something."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.told = defaultdict(asyncio.Event)

    def mark(self, name, *, healthy):
        super().mark(name, healthy=healthy)
        self.told[name, healthy].set()


class Backend:
    """A server that can be killed, and started again on its port."""

    def __init__(self, name):
        self.name, self.asked, self.running = name, 0, 0
        self.gathering: Gathering | None = None
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.port = self._sock.getsockname()[1]
        self._server = None

    @property
    def instance(self):
        return Instance(host="127.0.0.1", port=self.port)

    async def start(self):
        if self._sock is None:
            self._sock = socket.create_server(("127.0.0.1", self.port))
        app = App()

        @app.get("/")
        async def handler() -> str:
            self.asked += 1
            self.running += 1
            try:
                if self.gathering is not None:
                    await self.gathering.wait()
            finally:
                self.running -= 1
            return self.name

        self._server = Server(app, [self._sock])
        await self._server.__aenter__()

    async def stop(self):
        server, self._server, self._sock = self._server, None, None
        if server is not None:
            await server.stop(0.0, spread=0.0)


@asynccontextmanager
async def backends(count):
    found = [Backend("abcdef"[number]) for number in range(count)]
    async with AsyncExitStack() as stack:
        for one in found:
            await one.start()
            stack.push_async_callback(one.stop)
        yield found


def at_once(attempts=3):
    return Retry(attempts, first=0, longest=0)


async def over(found, balancer, *, clock=None, retry=None, **health):
    group = Group(
        "svc",
        [one.instance for one in found],
        balancer=balancer,
        health=Health(**health),
        clock=clock,
    )
    return group, Client("http://svc", timeout=PATIENCE, upstream=Upstream(group, retry=retry))


def run(test):
    async def bounded():
        async with asyncio.timeout(PATIENCE):
            await test()

    asyncio.run(bounded())


def test_a_dead_instance_gets_no_request_after_max_fails():
    async def test():
        async with backends(3) as found:
            dead = found[1]
            group, client = await over(found, RoundRobin(), retry=at_once(), max_fails=2)
            async with client:
                for _ in range(9):
                    assert (await client.get("/")).status_code == 200
                before = dead.asked
                await dead.stop()
                calls = group.statistics()[1].calls
                answers = [(await client.get("/")).text for _ in range(60)]
            peer = group.statistics()[1]

            assert before == 3
            assert dead.asked == before
            assert peer.calls - calls == peer.failures == 2
            assert peer.share == 0
            assert set(answers) == {"a", "c"}  # and nobody who asked has noticed

    run(test)


def test_who_comes_back_starts_slowly():
    async def test():
        clock = Manual()
        async with backends(2) as found:
            back = found[1]
            health = {"max_fails": 1, "fail_timeout": 30.0, "slow_start": 100.0}
            _, client = await over(found, RoundRobin(), clock=clock, retry=at_once(), **health)
            async with client:
                await back.stop()
                for _ in range(4):
                    assert (await client.get("/")).text == "a"
                await back.start()
                clock.advance(29)
                assert {(await client.get("/")).text for _ in range(11)} == {"a"}
                clock.advance(1)
                shares = []
                for grown in (0, 50, 50):
                    clock.advance(grown)
                    before = back.asked
                    for _ in range(110):
                        await client.get("/")
                    shares.append(back.asked - before)

            assert shares[0] == pytest.approx(110 * 0.1 / 1.1, abs=1)
            assert shares[1] == pytest.approx(110 * 0.5 / 1.5, abs=1)
            assert shares[2] == pytest.approx(55, abs=1)

    run(test)


def test_a_hash_keeps_calls_together_until_their_instance_is_full():
    async def test():
        async with backends(4) as found:
            _, client = await over(found, ConsistentHash(1.25))
            async with client:
                for key in (b"one", b"two", b"three"):
                    met = {(await client.get("/", key=key)).text for _ in range(10)}
                    assert len(met) == 1
                gathering = Gathering(40)
                for one in found:
                    one.gathering = gathering
                calls = [asyncio.create_task(client.get("/", key=b"one")) for _ in range(40)]
                await gathering.complete.wait()
                running = sorted(one.running for one in found)
                gathering.release.set()
                await asyncio.gather(*calls)

            assert running[-1] == math.ceil(1.25 * 40 / 4)
            assert running[0] > 0

    run(test)


def test_with_nobody_there_the_error_says_so():
    async def test():
        async with backends(2) as found:
            for one in found:
                await one.stop()
            _, client = await over(found, RoundRobin(), retry=at_once())
            async with client:
                with pytest.raises(ConnectError):
                    await client.get("/")

    run(test)


def test_a_probe_finds_the_dead_before_a_call_does():
    async def test():
        async with backends(2) as found:
            group = Told("svc", [one.instance for one in found], balancer=RoundRobin())
            probe = Probe(path="/", every=0.02, unhealthy=2, healthy=1)
            async with Client("http://svc", upstream=Upstream(group, probe=probe)) as client:
                await found[1].stop()
                name = found[1].instance.name
                await group.told[name, False].wait()
                for _ in range(20):
                    assert (await client.get("/")).text == "a"
                await found[1].start()
                group.told[name, True].clear()
                await group.told[name, True].wait()
                assert {(await client.get("/")).text for _ in range(4)} == {"a", "b"}

    run(test)


def test_an_application_opens_and_closes_its_client():
    async def test():
        async with backends(1) as found:
            client = Client(f"http://127.0.0.1:{found[0].port}")
            app = App(resources=[client])

            @app.get("/")
            async def front() -> str:
                return "by way of " + (await client.get("/")).text

            sock = socket.create_server(("127.0.0.1", 0))
            server = Server(app, [sock])
            async with server, Client() as outside:
                answer = await outside.get(f"http://127.0.0.1:{sock.getsockname()[1]}/")
                await server.stop(1.0, spread=0.0)

            assert answer.text == "by way of a"
            assert client.statistics().calls == 1

    run(test)


def test_an_application_that_is_entered_again_has_its_client_again():
    """Each time with a loop of its own, as tests do."""
    shop = App()

    @shop.get("/")
    async def handler() -> str:
        return "x"

    with testing.Client(shop) as server:
        client = Client(f"http://127.0.0.1:{server.port}")
        front = App(resources=[client])

        @front.get("/")
        async def through() -> str:
            return (await client.get("/")).text

        for _ in range(3):
            with testing.Client(front) as outer:
                assert outer.get("/").text == "x"


def test_backends_are_restarted_under_load_and_no_call_fails():
    async def test():
        async with backends(3) as found:
            retry = Retry(5, first=0, longest=0, budget=RetryBudget(1.0, reserve=1000))
            _, client = await over(found, RoundRobin(), retry=retry, max_fails=2)
            stopping, statuses = asyncio.Event(), []

            async def caller():
                while not stopping.is_set():
                    statuses.append((await client.get("/")).status_code)

            async with client, asyncio.TaskGroup() as callers:
                for _ in range(8):
                    callers.create_task(caller())
                for one in [*found, *found]:
                    before = len(statuses)
                    await one.stop()
                    await one.start()
                    while len(statuses) < before + 50:  # noqa: ASYNC110 - no time is waited
                        await asyncio.sleep(0)
                stopping.set()

            assert set(statuses) == {200}
            assert len(statuses) >= 300

    run(test)
