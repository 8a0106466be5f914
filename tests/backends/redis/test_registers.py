"""No wrong answer under faults: each key is a register, and a model knows what it may hold.

One writer a key counts up and knows which of its writes were acknowledged, which failed without
being done (ConnectError) and which may have been done, perhaps later (ReadError). Readers must
never see less than what was acknowledged before they asked, unless a write in doubt did that, more
than what has been written, or another key's value.
"""

import asyncio
import itertools
import random
from contextlib import asynccontextmanager

import pytest

from megahertz.backends import Redis
from megahertz.errors import BackendError, ConnectError, ReadError, WriteError

KEYS, WRITES = 8, 40


class Register:
    """What a key may hold."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.acknowledged = self.written = 0
        self.doubtful: set[int] = set()
        self.failures: list[BackendError] = []
        self.forgetful = False
        """Replication is asynchronous: with its master, what that has acknowledged may go."""

    async def write(self, redis: Redis, disturbed: asyncio.Event) -> None:
        """Until there were some, and as many again after the fault."""
        least = WRITES
        for number in itertools.count(1):
            if number > least and disturbed.is_set():
                return
            if not disturbed.is_set():
                least = number + WRITES
            self.written = number
            try:
                assert await redis.set(self.name, f"{self.name}={number}")
                self.acknowledged = number
            except BackendError as error:
                self.failures.append(error)
                if not isinstance(error, ConnectError):
                    self.doubtful.add(number)
            await asyncio.sleep(0)

    async def read(self, redis: Redis, until: asyncio.Event) -> None:
        while not until.is_set():
            least = self.acknowledged
            try:
                found = await redis.get(self.name)
            except BackendError as error:
                self.failures.append(error)
                continue
            finally:
                await asyncio.sleep(0)
            self.check(found, least)

    def check(self, found: bytes | None, least: int) -> None:
        least = 0 if self.forgetful else least
        if found is None:
            assert least == 0
            return
        name, _, number = found.decode().partition("=")
        assert name == self.name
        assert least <= int(number) <= self.written or int(number) in self.doubtful


@asynccontextmanager
async def cutting(port, random_):
    """A proxy that cuts connections in the middle of what the server says."""
    links: set[asyncio.Task] = set()

    async def pump(reader, writer, most):
        while most > 0 and (octets := await reader.read(4096)):
            writer.write(octets[:most])
            most -= len(octets)

    async def serve(reader, writer):
        links.add(asyncio.current_task())
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        # HELLO's reply is some 200 octets.
        budget = random_.choice([100, 300, 1000, 5000, 20_000])
        asked = asyncio.create_task(pump(reader, up_writer, 1 << 60))
        try:
            await pump(up_reader, writer, budget)
        except OSError:
            pass
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            for each in (writer, up_writer):
                each.close()
            await asyncio.gather(
                *(each.wait_closed() for each in (writer, up_writer)), return_exceptions=True
            )

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)


async def exercise(redis, *, disturb=None, loses=False):
    """Writers and readers of all keys; what failed. `loses`: the fault may take a master along."""
    registers = [Register(f"k{number}") for number in range(KEYS)]
    done = asyncio.Event()
    readers = [
        asyncio.create_task(register.read(redis, done)) for register in registers for _ in range(2)
    ]
    disturbed = asyncio.Event()
    writers = asyncio.gather(*(register.write(redis, disturbed) for register in registers))
    for register in registers:
        register.forgetful = loses
    if disturb is not None:
        await disturb()
    disturbed.set()
    await writers
    done.set()
    await asyncio.gather(*readers)
    return registers


@pytest.mark.parametrize("seed", range(3))
async def test_connections_cut_in_the_middle_of_replies(store, seed):
    async with cutting(store.port, random.Random(seed)) as port:
        options = {"backoff": 0.001, "longest_backoff": 0.002, "retries": 50}
        async with Redis("127.0.0.1", port, **options) as redis:
            registers = await exercise(redis)
            assert redis.statistics()["connected"] > 1
    assert {type(e) for r in registers for e in r.failures} <= {ReadError, ConnectError, WriteError}
    async with Redis(port=store.port) as redis:
        for register in registers:
            register.check(await redis.get(register.name), register.acknowledged)
        assert any(register.acknowledged for register in registers)


async def test_a_server_that_pauses_and_goes_on(store):
    """CLIENT PAUSE: waiters give up in time, later replies stay in order."""
    options = {"timeout": 0.05, "backoff": 0.001, "retries": 1000}
    async with Redis(port=store.port, **options) as redis, Redis(port=store.port) as other:

        async def disturb():
            await other.client_pause(200)

        registers = await exercise(redis, disturb=disturb)
        assert {type(e) for r in registers for e in r.failures} <= {ReadError, ConnectError}
        for register in registers:
            register.check(await other.get(register.name), register.acknowledged)


async def test_waiters_that_leave_at_any_time(store):
    """Half of all reads are cancelled at some turn of the loop: the others get their own."""
    turns = random.Random(7)
    async with Redis(port=store.port) as redis:
        await redis.mset({f"k{number}": f"k{number}=1" for number in range(KEYS)})

        async def ask(number):
            for _ in range(50):
                task = asyncio.create_task(redis.get(f"k{number}"))
                if turns.random() < 0.5:
                    for _ in range(turns.randrange(4)):
                        await asyncio.sleep(0)
                    task.cancel()
                try:
                    assert await task == b"k%d=1" % number
                except asyncio.CancelledError:
                    pass

        await asyncio.gather(*(ask(number) for number in range(KEYS)))
        assert redis.statistics()["discarded"] > 0
