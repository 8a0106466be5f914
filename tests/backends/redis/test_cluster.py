"""A Redis Cluster of six, in health and while it is broken."""

import asyncio
import os
import random
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import pytest

from megahertz.backends import RedisCluster
from megahertz.backends.redis.cluster import nodes as module
from megahertz.backends.redis.cluster.keys import key_of, slot
from megahertz.backends.redis.cluster.topology import Topology, redirected
from megahertz.cache import Remote, Tiers
from megahertz.errors import (
    BackendError,
    ConnectError,
    Misused,
    ReadError,
    ReplyError,
    WriteError,
)

from .cluster import Cluster
from .fake import commands_of
from .test_registers import cutting, exercise


@pytest.fixture(scope="module")
def six(redis_program, tmp_path_factory):
    cluster = Cluster(redis_program, tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.end()


@pytest.fixture
def cluster(six):
    """With nothing in it."""
    for port in six.masters():
        assert six.ask(port, "FLUSHALL") == "OK"
    return six


breaking = pytest.mark.skipif(
    os.environ.get("MEGAHERTZ_SUITES") != "all",
    reason="minutes of real fail-overs: MEGAHERTZ_SUITES=all",
)


@pytest.fixture
def breakable(redis_program, tmp_path):
    """One of its own: what has been broken is not mended."""
    cluster = Cluster(redis_program, tmp_path)
    yield cluster
    cluster.end()


def joined(cluster, **options):
    nodes = [("127.0.0.1", port) for port in cluster.ports[1:]]
    return RedisCluster("127.0.0.1", cluster.ports[0], nodes=nodes, **options)


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("123456789", 0x31C3),
        ("foo", 12182),
        ("{user}.a", slot("user")),
        ("{}a", slot(b"{}a")),
        ("foo{{bar}}zap", slot("{bar")),
        ("foo{bar}{zap}", slot("bar")),
        (7, slot("7")),
    ],
)
def test_slots(key, number):
    """The specification's own examples."""
    assert slot(key) == number % 16384


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("GET", "a"), "a"),
        (("PING",), None),
        (("CONFIG", "GET", "save"), None),
        (("EVAL", "return 1", 0), None),
        (("EVAL", "return 1", 1, "k"), "k"),
        (("XREADGROUP", "GROUP", "g", "c", "BLOCK", 1, "STREAMS", "s", ">"), "s"),
        (("ZUNION", 2, "a", "b"), "a"),
        (("BLMPOP", 0, 1, "l", "LEFT"), "l"),
        (("OBJECT", "ENCODING", "o"), "o"),
        (("MULTI",), None),
    ],
    ids=str,
)
def test_the_key_of_a_command(words, key):
    assert key_of(words) == key


def test_what_is_no_key():
    with pytest.raises(Misused):
        slot(None)


def test_what_slots_and_redirections_say():
    topology = Topology()
    assert topology.shard(5) is None
    topology.told(
        [[0, 9, [b"", 7000, b"id"], ["other", 7001, "id"]], [10, 16383, [None, 7002]]], ("h", 1)
    )
    assert topology.masters == [("h", 7000), ("h", 7002)]
    assert topology.shard(5).replicas == (("other", 7001),)
    topology.moved(5, ("h", 7002))
    topology.moved(6, ("new", 1))
    assert topology.shard(5).master == ("h", 7002) and topology.shard(6).master == ("new", 1)
    assert redirected(["MOVED", "3999", "127.0.0.1:6381"], ("h", 1)) == (3999, ("127.0.0.1", 6381))
    assert redirected(["ASK", "1", ":6381"], ("h", 1)) == (1, ("h", 6381))


async def test_keys_go_where_they_belong(cluster):
    async with joined(cluster, decode_responses=True) as redis:
        await asyncio.gather(*(redis.set(f"k{n}", n) for n in range(200)))
        assert await asyncio.gather(*(redis.get(f"k{n}") for n in range(200))) == [
            str(n) for n in range(200)
        ]
        assert await redis.dbsize() == 200 and len(await redis.keys()) == 200
        assert len({key async for key in redis.scan_iter(count=50)}) == 200
        names = [f"k{n}" for n in range(10)]
        assert await redis.mget_nonatomic(names) == [str(n) for n in range(10)]
        assert await redis.mset_nonatomic({"a": 1, "b": 2, "c": 3})
        assert await redis.exists("a", "b", "c", "no") == 3
        assert await redis.touch("a", "b") == 2 and await redis.unlink("a") == 1
        assert await redis.delete(*names) == 10
        assert (
            await redis.ping() and await redis.flushdb() and await redis.flushall(asynchronous=True)
        )
        assert redis.statistics()["nodes"] >= 3 and redis.statistics()["redirected"] == 0
        with pytest.raises(ReplyError, match="CROSSSLOT"):
            await redis.mget("a", "b")


async def test_pipelines_are_split_and_joined(cluster):
    async with joined(cluster) as redis:
        pipe = redis.pipeline()
        for number in range(100):
            pipe.set(f"k{number}", number).incr(f"k{number}")
        found = await pipe.execute()
        assert found == [each for number in range(100) for each in (True, number + 1)]
        assert await pipe.execute() == [] and pipe
        pipe.set("a", "x").incr("a").set("b", 1)
        with pytest.raises(ReplyError, match="command 2"):
            await pipe.execute()
        async with redis.pipeline(transaction=True) as pipe:
            await pipe.set("{t}a", 1).incr("{t}b")
            assert len(pipe) == 2 and await pipe.execute() == [True, 1]
            pipe.set("a", 1).set("b", 1)
            with pytest.raises(Misused, match="one slot"):
                await pipe.execute()
        with pytest.raises(Misused, match="DUMP"):
            redis.pipeline().dump("a")
        assert await redis.pipeline().execute_command("CONFIG GET", "save").execute() == [
            {b"save": b""}
        ]


async def test_blocking_commands_scripts_locks_and_subscribers(cluster):
    async with joined(cluster, decode_responses=True) as redis:
        waiting = asyncio.create_task(redis.blpop("queue", 30))
        add = redis.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        assert await add(keys=["n"], args=[2]) == 2
        assert await redis.pipeline().get("n").execute() == ["2"]
        pipe = redis.pipeline()
        await add(keys=["n"], args=[1], client=pipe)
        assert await pipe.execute() == [3]
        async with redis.lock("l", timeout=30) as lock:
            assert await lock.owned()
        async with redis.pubsub() as news:
            await news.subscribe("c")
            await news.ping()
            await redis.publish("c", "hello")
            while (message := await news.get_message(timeout=None))["type"] != "message":
                pass
            assert message["data"] == "hello"
        await redis.rpush("queue", "x")
        assert await waiting == ("queue", "x")


async def test_a_cache_over_it(cluster):
    """Values in their slots, and news from whichever node."""
    rows = {number: number for number in range(50)}

    async def load(number):
        return rows[number]

    async with (
        joined(cluster) as one,
        joined(cluster) as two,
        Remote(one, timeout=30.0, heartbeat=30.0) as here,
        Remote(two, timeout=30.0, heartbeat=30.0) as there,
    ):
        await asyncio.gather(here.hears(), there.hears())
        ours, theirs = (
            Tiers(load, 60, name="row", remote=remote, once="machines") for remote in (here, there)
        )
        assert await ours.warm(rows) == await theirs.warm(rows) == 50
        assert theirs.statistics().shared == 50
        rows.update(dict.fromkeys(rows, "new"))
        await ours.delete(*rows)
        async with asyncio.timeout(30):
            while theirs.statistics().changed < 50:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert [await theirs.get(number) for number in rows] == ["new"] * 50


async def test_replicas_answer_who_only_reads(cluster):
    async with joined(cluster, read_from="replica") as redis:
        await redis.set("a", 1)
        while await redis.get("a") != b"1":
            pass  # it is behind
        assert await redis.incr("a") == 2
        assert redis._nodes._replicas
    async with joined(cluster, read_from="any") as redis:
        await redis.initialize()
        assert set(await asyncio.gather(*(redis.exists("a") for _ in range(9)))) <= {0, 1}


async def test_a_slot_that_migrates(cluster):
    """ASK while it does, MOVED once it has."""
    number = slot("{m}")
    async with joined(cluster) as redis:
        await redis.set("{m}old", "here")
        source = next(
            p for p in cluster.masters() if cluster.ask(p, "EXISTS", "{m}old") == ":1\r\n"
        )
        target = next(p for p in cluster.masters() if p != source)
        here, there = (cluster.ask(port, "CLUSTER", "MYID") for port in (source, target))
        cluster.ask(target, "CLUSTER", "SETSLOT", number, "IMPORTING", here)
        cluster.ask(source, "CLUSTER", "SETSLOT", number, "MIGRATING", there)
        assert await redis.get("{m}old") == b"here"
        assert await redis.set("{m}new", "there") and await redis.get("{m}new") == b"there"
        assert cluster.ask(target, "CLUSTER", "COUNTKEYSINSLOT", number) == ":1\r\n"
        found = await redis.pipeline().get("{m}old").get("{m}new").execute()
        assert found == [b"here", b"there"]
        cluster.ask(source, "MIGRATE", "127.0.0.1", target, "{m}old", 0, 5000)
        for port in (target, source):
            cluster.ask(port, "CLUSTER", "SETSLOT", number, "NODE", there)
        transaction = redis.pipeline(transaction=True).get("{m}old").get("{m}new")
        assert await transaction.execute() == [b"here", b"there"]
        assert await redis.get("{m}old") == b"here"
        assert redis.statistics()["redirected"] >= 3
        cluster.ask(target, "DEL", "{m}old", "{m}new")
        for port in (source, target):
            cluster.ask(port, "CLUSTER", "SETSLOT", number, "NODE", here)


async def broken(cluster, how, *, loses=True):
    """Registers written and read while one master is broken."""
    victim = random.Random(3).choice(cluster.masters())
    async with joined(cluster, timeout=1.0, connect_timeout=0.5, patience=30.0) as redis:
        await redis.initialize()

        async def disturb():
            await asyncio.to_thread(how, cluster, victim)

        return victim, await exercise(redis, disturb=disturb, loses=loses)


def kinds(registers):
    return {type(error) for register in registers for error in register.failures}


@breaking
async def test_a_master_that_is_killed_under_load(breakable):
    """Its replica takes over: what may have been done fails, all else is only late."""
    _, registers = await broken(breakable, lambda six, port: six.kill(port))
    assert kinds(registers) <= {ReadError}
    async with joined(breakable) as redis:
        assert await redis.set("after", 1)


@breaking
async def test_a_master_that_hangs_under_load(breakable):
    _, registers = await broken(breakable, lambda six, port: six.stop(port))
    assert kinds(registers) <= {ReadError, ConnectError}


def lost_key(redis, port):
    """One whose master is there."""
    topology = redis._nodes.topology
    keys = (f"t{number}" for number in range(1000))
    return next(key for key in keys if topology.shard(slot(key)).master[1] == port)


@breaking
async def test_a_pipeline_while_a_master_is_away(breakable):
    """Its part that could not be sent waits for the new master, and is joined in order."""
    victim = breakable.masters()[0]
    async with joined(breakable, timeout=1.0, connect_timeout=0.5, patience=30.0) as redis:
        await redis.initialize()
        breakable.kill(victim)
        transaction = redis.pipeline(transaction=True).incr(lost_key(redis, victim))
        assert await transaction.execute() == [1]
        pipe = redis.pipeline()
        for number in range(60):
            pipe.set(f"k{number}", number).get(f"k{number}")
        found = await pipe.execute(raise_on_error=False)
        for number in range(60):
            done, value = found[2 * number : 2 * number + 2]
            assert done is True or isinstance(done, ReadError)
            assert value == b"%d" % number or done is not True
        for tag in range(9):
            transaction = redis.pipeline(transaction=True)
            transaction.set(f"{{t{tag}}}", tag).get(f"{{t{tag}}}")
            assert await transaction.execute() == [True, b"%d" % tag]


@breaking
async def test_a_fail_over_that_is_asked_for_loses_nothing(breakable):
    def failover(six, victim):
        replica = next(
            port
            for port in six.ports
            if f"master_port:{victim}\r" in six.ask(port, "INFO", "replication")
        )
        six.ask(replica, "CLUSTER", "FAILOVER")

    _, registers = await broken(breakable, failover, loses=False)
    assert kinds(registers) <= {ReadError}
    async with joined(breakable) as redis:
        for register in registers:
            register.check(await redis.get(register.name), register.acknowledged)


@breaking
async def test_a_cluster_without_a_majority_keeps_nobody_waiting(breakable):
    """Two of three masters are away, so that nobody is elected: all that is asked is given up.

    What waited for ever in tests that shared a broken cluster was a sum: a pipeline gave each of
    its commands, and each try of a transaction, a patience of its own.
    """
    keys = [f"k{number}" for number in range(60)]
    options = {"timeout": 0.5, "connect_timeout": 0.5, "patience": 2.0}
    async with joined(breakable, **options) as redis:
        await redis.initialize()
        first, second, _ = breakable.masters()
        lost = lost_key(redis, first)
        breakable.kill(first)
        breakable.stop(second)
        script = redis.register_script("return redis.call('GET', KEYS[1])")
        pipe = redis.pipeline()
        for key in keys:
            pipe.set(key, 1).get(key)
        asked = {
            "get": redis.get(lost),
            "set": redis.set(lost, 1),
            "transaction": redis.pipeline(transaction=True).incr(lost).execute(),
            "pipeline": pipe.execute(),
            "blocking": redis.blpop(lost, 1),
            "script": script(keys=[lost]),
            "everywhere": redis.dbsize(),
            "several": redis.mget_nonatomic(keys),
            "lock": redis.lock(lost).acquire(blocking=False),
        }
        async with asyncio.timeout(60):
            found = await asyncio.gather(*asked.values(), return_exceptions=True)
            for _ in range(3):  # one after the other, it may be of each node
                async with redis.pubsub() as news:
                    with suppress(BackendError):
                        await news.subscribe("c")
    for name, answer in zip(asked, found, strict=True):
        assert isinstance(answer, BackendError), (name, answer)


class Nodes:
    """Nodes that say what the test has them say, each at a port of its own."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, list[bytes]]] = []
        self.ports: list[int] = []
        self.says = lambda index, words: b"+OK\r\n"

    async def serve(self, index, reader, writer):
        waiting = b""
        while octets := await reader.read(65536):
            commands, waiting = commands_of(waiting + octets)
            for words in commands:
                if words[0] == b"HELLO":
                    writer.write(b"%1\r\n+proto\r\n:3\r\n")
                elif words[:2] == [b"CLUSTER", b"SLOTS"]:
                    row = b"*3\r\n:0\r\n:16383\r\n*3\r\n+127.0.0.1\r\n:%d\r\n+id\r\n"
                    writer.write(b"*1\r\n" + row % self.ports[0])
                else:
                    self.asked.append((index, words))
                    writer.write(self.says(index, words))
        writer.close()


@asynccontextmanager
async def nodes(count, **options):
    """They, and a client."""
    fake = Nodes()
    servers = [
        await asyncio.start_server(partial(fake.serve, index), "127.0.0.1", 0)
        for index in range(count)
    ]
    fake.ports = [server.sockets[0].getsockname()[1] for server in servers]
    async with RedisCluster("127.0.0.1", fake.ports[0], **options) as redis:
        yield fake, redis
    for server in servers:
        server.close()
        await server.wait_closed()


async def test_nodes_that_refer_to_each_other():
    """They are not asked as fast as they can answer, and given up."""
    async with nodes(2, patience=0.3) as (fake, redis):
        fake.says = lambda index, _: b"-MOVED 15495 127.0.0.1:%d\r\n" % fake.ports[1 - index]
        for asked in (redis.get("a"), redis.blpop("a", 1)):
            with pytest.raises(ReplyError, match="MOVED"):
                await asked
        assert len(fake.asked) < 100


async def test_a_pipeline_has_one_patience():
    """Not one for each of its commands."""
    async with nodes(1, patience=0.05) as (fake, redis):
        fake.says = lambda *_: b"-CLUSTERDOWN The cluster is down\r\n"
        pipe = redis.pipeline()
        for _ in range(50):
            pipe.get("a")
        found = await pipe.execute(raise_on_error=False)
        assert [error.kind for error in found] == ["CLUSTERDOWN"] * 50
        assert len(fake.asked) < 75, "each once, and the first ones until there was no time left"


async def test_a_client_that_is_closed_while_it_looks_who_has_what():
    """Who waits has an error, not a cancellation that nobody asked for."""
    async with nodes(1, patience=5.0) as (fake, redis):
        fake.says = lambda *_: b"-CLUSTERDOWN The cluster is down\r\n"
        waiting = asyncio.create_task(redis.get("a"))
        while redis.statistics()["tried_again"] < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        looking = redis._nodes._refreshing
        redis._nodes.close()
        redis._patience = 0.0
        fake.says = lambda *_: b"+ok\r\n"
        assert await waiting == b"ok" and (looking is None or looking.done())


async def test_a_slot_that_migrates_under_load(cluster):
    """There and back again, while its key is written and read: nothing fails, nothing is wrong."""
    number = slot("k0")

    def move(source, target):
        here, there = (cluster.ask(port, "CLUSTER", "MYID") for port in (source, target))
        assert cluster.ask(target, "CLUSTER", "SETSLOT", number, "IMPORTING", here) == "OK"
        assert cluster.ask(source, "CLUSTER", "SETSLOT", number, "MIGRATING", there) == "OK"
        moved = cluster.ask(source, "MIGRATE", "127.0.0.1", target, "k0", 0, 5000)
        assert moved in ("OK", "NOKEY")
        for port in (target, source):
            assert cluster.ask(port, "CLUSTER", "SETSLOT", number, "NODE", there) == "OK"

    async with joined(cluster) as redis:
        await redis.set("k0", "k0=0")
        source = redis._nodes.topology.shard(number).master[1]
        target = next(port for port in cluster.masters() if port != source)

        async def disturb():
            await asyncio.to_thread(move, source, target)
            await asyncio.to_thread(move, target, source)

        registers = await exercise(redis, disturb=disturb)
        assert kinds(registers) == set() and redis.statistics()["redirected"] > 0
        for register in registers:
            register.check(await redis.get(register.name), register.acknowledged)


async def paused(cluster, seconds):
    """Registers written and read while one master answers nobody."""
    victim = cluster.masters()[1]
    async with joined(cluster, timeout=0.2, patience=30.0) as redis:
        await redis.initialize()

        async def disturb():
            said = cluster.ask(victim, "CLIENT", "PAUSE", round(seconds * 1000), "ALL")
            assert said == "OK"

        registers = await exercise(redis, disturb=disturb)
    async with joined(cluster) as redis:
        for register in registers:
            register.check(await redis.get(register.name), register.acknowledged)
    assert kinds(registers) <= {ReadError, ConnectError}


async def test_a_master_that_pauses_and_goes_on(cluster):
    await paused(cluster, 0.5)


@breaking
async def test_a_master_that_pauses_for_five_seconds(cluster):
    await paused(cluster, 5.0)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=breaking)])
async def test_connections_to_nodes_cut_in_the_middle_of_replies(cluster, seed, monkeypatch):
    """Each node is behind a proxy, wherever the cluster says that it is."""
    draw = random.Random(seed)
    async with AsyncExitStack() as stack:
        behind = {
            port: await stack.enter_async_context(cutting(port, draw)) for port in cluster.ports
        }
        new = module.Connection

        def proxied(address, options, **named):
            return new(replace(address, port=behind[address.port]), options, **named)

        monkeypatch.setattr(module, "Connection", proxied)
        options = {"backoff": 0.001, "longest_backoff": 0.002, "retries": 50}
        async with joined(cluster, **options) as redis:
            registers = await exercise(redis)
        monkeypatch.undo()
    assert kinds(registers) <= {ReadError, ConnectError, WriteError}
    async with joined(cluster) as redis:
        for register in registers:
            register.check(await redis.get(register.name), register.acknowledged)
        assert any(register.acknowledged for register in registers)


async def test_nobody_there():
    redis = RedisCluster.from_url("redis://127.0.0.1:1", patience=0.0)
    with pytest.raises(ConnectError, match="none of"):
        await redis.get("a")
    with pytest.raises(BackendError):
        await redis.pipeline().get("a").execute()
    with pytest.raises(BackendError):
        await redis.blpop("a")
    await redis.aclose()
