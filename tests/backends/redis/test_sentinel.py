"""A master, a replica and a Sentinel, and the client that asks it."""

import asyncio
import socket
import subprocess
import time

import pytest

from megahertz.backends import Redis, Sentinel
from megahertz.errors import BackendError, ConnectError


def free():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Watched:
    """Three processes; the Sentinel moves the master when it is told to."""

    def __init__(self, program, folder):
        self.master, self.replica, self.sentinel = free(), free(), free()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {self.sentinel}\nbind 127.0.0.1\n"
            f"sentinel monitor shop 127.0.0.1 {self.master} 1\n"
            "sentinel down-after-milliseconds shop 300\nsentinel failover-timeout shop 3000\n"
        )
        server = [program, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        server += ["--repl-diskless-sync-delay", "0"]
        commands = [
            [*server, "--port", str(self.master)],
            [*server, "--port", str(self.replica), "--replicaof", f"127.0.0.1 {self.master}"],
            [program, str(config), "--sentinel"],
        ]
        self.processes = [
            subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands
        ]

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def watched(redis_program, tmp_path):
    found = Watched(redis_program, tmp_path)
    yield found
    found.end()


async def until(condition):
    """Nothing tells when servers have found each other: they are asked."""
    end = time.monotonic() + 30
    while True:
        try:
            if await condition():
                return
        except BackendError:
            pass
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_the_client_follows_the_master(watched):
    places = [("127.0.0.1", 1), ("127.0.0.1", watched.sentinel)]
    async with Sentinel(places, decode_responses=True, retries=1000) as sentinel:
        await until(lambda: sentinel.discover_slaves("shop"))
        master, replica = sentinel.master_for("shop"), sentinel.slave_for("shop")
        async with master as redis, replica as reader:
            assert await sentinel.discover_master("shop") == ("127.0.0.1", watched.master)
            assert await redis.set("a", "1")
            await until(lambda: same(reader, "a", "1"))
            ask = Redis(port=watched.sentinel)
            await until(lambda: ask.execute("SENTINEL", "FAILOVER", "shop"))
            await until(lambda: moved(sentinel, watched.replica))
            # The old master takes writes until it is told; then it is a replica, and says so
            # (READONLY), or cuts us off.
            async with Redis(port=watched.replica, decode_responses=True) as there:
                await until(lambda: arrives(redis, there))
            await ask.aclose()


async def same(redis, key, value):
    return await redis.get(key) == value


async def arrives(redis, there):
    await redis.set("a", "2")
    return await there.get("a") == "2"


async def moved(sentinel, port):
    return (await sentinel.discover_master("shop"))[1] == port


async def test_nobody_knows(watched):
    async with Sentinel([("127.0.0.1", watched.sentinel)], retries=1) as sentinel:
        await until(lambda: sentinel.discover_master("shop"))
        with pytest.raises(ConnectError, match="does not know it"):
            await sentinel.discover_master("none")
        async with sentinel.master_for("none") as redis:
            with pytest.raises(ConnectError, match="does not know it"):
                await redis.get("a")
        assert await sentinel.slave_for("shop").ping()
    async with Sentinel([("127.0.0.1", 1)]) as sentinel:
        with pytest.raises(ConnectError, match="no Sentinel says"):
            await sentinel.discover_master("shop")
        with pytest.raises(ConnectError, match="no Sentinel answers"):
            await sentinel.discover_slaves("shop")
