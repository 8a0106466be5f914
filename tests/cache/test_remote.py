"""Levels over a real Redis: several workers, late loaders, leases, a Redis that is away."""

import asyncio
import random
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from megahertz.backends import Redis, RedisCluster
from megahertz.cache import LRU, Remote, Tiers, cached
from megahertz.errors import BackendError, BadSettings, ConnectError, DeadlineExceeded, Misused
from tests.cache.remotes import heard, remotes, until


class Row(msgspec.Struct):
    number: int
    name: str = ""


class Database:
    """What is behind all of it: one version a key."""

    def __init__(self) -> None:
        self.rows: dict[Any, Any] = {}
        self.loads = 0
        self.gates: list[asyncio.Event] = []

    async def load(self, key):
        self.loads += 1
        row = self.rows.get(key)
        if self.gates:
            await self.gates.pop(0).wait()
        return row


@asynccontextmanager
async def workers(url, load, count=2, *, remote=None, client=None, **options):
    """As many caches of one name, each with a client of its own, that hear each other."""
    async with remotes(url, count, remote=remote, client=client) as pairs:
        found = []
        for redis, level in pairs:
            settings = {"ttl": 60, "name": "row", "type": Any, "remote": level, **options}
            found.append(Tiers(load, **settings))
            found[-1].redis, found[-1].remote = redis, level
        await found[0].redis.flushall()
        await heard(*(tiers.remote for tiers in found))
        yield found


async def test_what_one_has_loaded_others_find(module_redis):
    database = Database()
    database.rows[7] = Row(7, "Ada")
    async with workers(module_redis.url, database.load, type=Row | None) as (one, two):
        assert await one.get(7) == await two.get(7) == Row(7, "Ada")
        assert await one.get(8) is None and await two.get(8) is None
        assert database.loads == 2
        assert (two.statistics().shared, two.statistics().loads) == (2, 0)
        assert await one.redis.pttl("cache:row:7") > 55_000
        assert await one.redis.pttl("cache:row:8") < 6_000


async def test_a_delete_is_heard_by_every_worker(module_redis):
    database = Database()
    database.rows["a"] = 1
    async with workers(module_redis.url, database.load, count=3) as found:
        assert [await tiers.get("a") for tiers in found] == [1, 1, 1]
        database.rows["a"] = 2
        await found[0].delete("a")
        assert await found[0].get("a") == 2
        await until(lambda: all(tiers.statistics().changed == 1 for tiers in found[1:]))
        assert [tiers.peek("a") for tiers in found] == [2, None, None]
        assert [await tiers.get("a") for tiers in found] == [2, 2, 2]
        assert found[0].statistics().changed == 0, "who changes it need not be told"


async def test_a_set_is_seen_by_every_worker(module_redis):
    database = Database()
    async with workers(module_redis.url, database.load) as (one, two):
        await two.get("a")
        await one.set("a", "written")
        await until(lambda: two.statistics().changed == 1)
        assert await one.get("a") == await two.get("a") == "written" and database.loads == 1


async def test_a_late_loader_does_not_overwrite_what_is_newer(module_redis):
    database, gate = Database(), asyncio.Event()
    database.rows["a"], database.gates = "old", [gate]
    async with workers(module_redis.url, database.load) as (slow, quick):
        late = asyncio.create_task(slow.get("a"))
        await until(lambda: database.loads == 1)
        database.rows["a"] = "new"
        await quick.delete("a")
        assert await quick.get("a") == "new"
        gate.set()
        assert await late in ("old", "new"), "it asked before the change"
        assert await slow.get("a") == "new" and slow.peek("a") == "new"
        assert slow.statistics().refused == 1 and database.loads == 2


async def test_a_late_loader_does_not_bring_back_what_was_deleted(module_redis):
    database, gate = Database(), asyncio.Event()
    database.rows["a"], database.gates = "old", [gate]
    async with workers(module_redis.url, database.load) as (slow, quick):
        late = asyncio.create_task(slow.get("a"))
        await until(lambda: database.loads == 1)
        await quick.delete("a")
        gate.set()
        assert await late == "old"
        assert slow.peek("a") is None
        database.rows["a"] = "new"
        assert await slow.get("a") == await quick.get("a") == "new"


async def test_a_loader_that_ignores_its_end_writes_nothing(module_redis):
    """It may come so late that nobody remembers what was deleted meanwhile."""
    gate = asyncio.Event()

    async def stubborn(key):
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    async with workers(module_redis.url, stubborn, count=1, timeout=0.05) as (only,):
        with pytest.raises(DeadlineExceeded):
            await only.get("a")
        gate.set()
        await until(lambda: only.statistics().loads == 1)
        assert only.peek("a") is None and not await only.redis.exists('cache:row:"a"')


async def test_of_two_loaders_the_first_is_believed(module_redis):
    database, gates = Database(), [asyncio.Event(), asyncio.Event()]
    database.rows["a"], database.gates = 1, list(gates)
    async with workers(module_redis.url, database.load) as (one, two):
        first, second = asyncio.create_task(one.get("a")), asyncio.create_task(two.get("a"))
        await until(lambda: database.loads == 2)
        gates[1].set()
        await second
        gates[0].set()
        assert await first == 1 and one.statistics().refused == 1
        assert await one.get("a") == 1 and one.statistics().shared == 1


@pytest.mark.parametrize("seed", range(3))
async def test_no_worker_gives_what_is_older_than_it_was_told(module_redis, seed):
    """Readers and writers at random: after a delete that a worker made or heard of, no older."""
    draw, database, known = random.Random(seed), Database(), {}
    keys = ["a", "b", "c"]

    async def load(key):
        row = database.rows.get(key, 0)
        for _ in range(draw.randrange(4)):
            await asyncio.sleep(0)
        return row

    async with workers(module_redis.url, load, count=3) as found:

        async def write():
            for _ in range(60):
                tiers, key = draw.choice(found), draw.choice(keys)
                database.rows[key] = version = database.rows.get(key, 0) + 1
                await tiers.delete(key)
                place = (id(tiers), key)
                known[place] = max(known.get(place, 0), version)

        async def read():
            for _ in range(300):
                tiers, key = draw.choice(found), draw.choice(keys)
                least = known.get((id(tiers), key), 0)
                assert await tiers.get(key) >= least

        await asyncio.gather(write(), write(), *(read() for _ in range(6)))
        await until(lambda: sum(t.statistics().changed for t in found) == 2 * 120)
        for key in keys:
            assert {await tiers.get(key) for tiers in found} == {database.rows[key]}


async def test_machines_load_once_together(module_redis):
    database, gate = Database(), asyncio.Event()
    database.rows["a"], database.gates = "x", [gate]
    async with workers(module_redis.url, database.load, count=4, once="machines") as found:
        waiting = [asyncio.create_task(tiers.get("a")) for tiers in found for _ in range(250)]
        await until(lambda: database.loads == 1)
        gate.set()
        assert set(await asyncio.gather(*waiting)) == {"x"}
        assert database.loads == 1
        assert await found[0].redis.keys("cache:lock:*") == []


async def test_a_machine_that_fails_to_load_lets_others(module_redis):
    calls = 0

    async def load(key):
        nonlocal calls
        calls += 1
        if calls == 1:
            raise LookupError
        return calls

    async with workers(module_redis.url, load, once="machines") as found:
        answers = await asyncio.gather(*(tiers.get("a") for tiers in found), return_exceptions=True)
        assert sorted(map(type, answers), key=str) == sorted([LookupError, int], key=str)


async def test_a_lease_of_a_machine_that_died_ends(module_redis):
    database = Database()
    database.rows["a"] = 1
    async with workers(module_redis.url, database.load, count=1, once="machines") as (only,):
        lock = only.remote._lock('row:"a"')
        await only.redis.set(lock, "dead", px=50)
        assert await only.get("a") == 1


async def test_who_has_the_lease_renews(module_redis):
    """The other gives what it holds, and does not load."""
    database = Database()
    database.rows["a"] = 1
    options = {"once": "machines", "ttl": 0.001, "jitter": 0, "stale": 50}
    async with workers(module_redis.url, database.load, count=1, **options) as (only,):
        await only.get("a")
        await only.redis.set(only.remote._lock('row:"a"'), "another", px=50_000)
        database.rows["a"] = 2
        held = only.local.get("a")
        held.soon = 0.0
        assert await only.get("a") == 1
        await until(lambda: only.statistics().under_way == 0)
        assert database.loads == 1
        held.soon = 0.0
        await only.redis.flushall()
        assert await only.get("a") == 1
        await until(lambda: only.statistics().under_way == 0)
        assert await only.get("a") == 2


async def test_a_renewed_value_is_taken_over(module_redis):
    """Of several workers that find the same value old, the first one loads it."""
    database = Database()
    database.rows["a"] = 1
    async with workers(module_redis.url, database.load) as found:
        for tiers in found:
            await tiers.get("a")
        database.rows["a"] = 2
        for tiers in found:
            tiers.local.get("a").soon = 0.0
            assert await tiers.get("a") == 1
            await until(lambda tiers=tiers: tiers.statistics().under_way == 0)
        assert [await tiers.get("a") for tiers in found] == [2, 2] and database.loads == 2


async def test_what_nobody_can_read_is_loaded_anew(module_redis):
    database = Database()
    database.rows.update(a=Row(1), b=Row(2), c=Row(3))
    async with workers(module_redis.url, database.load, count=1, type=Row) as (only,):
        other = Tiers(database.load, 60, name="other", remote=only.remote)
        await other.set("a", ["no", "row"])
        payload = await only.redis.get('cache:other:"a"')
        await only.redis.set('cache:row:"a"', payload, px=60_000)
        await only.redis.set('cache:row:"b"', "short", px=60_000)
        await only.redis.set('cache:row:"c"', payload)
        for _ in range(2):
            assert [await only.get(key) for key in "abc"] == [Row(1), Row(2), Row(3)]
            only.forget()
        assert database.loads == 3


async def test_values_of_other_kinds_bring_their_own_encoding(module_redis):
    async def load(key):
        return complex(key, 1)

    options = {"encode": lambda value: str(value).encode(), "decode": lambda o: complex(o.decode())}
    async with workers(module_redis.url, load, **options) as (one, two):
        assert await one.get(1) == await two.get(1) == 1 + 1j
        assert two.statistics().shared == 1


async def test_a_value_that_has_no_encoding_is_an_error(module_redis):
    async def load(key):
        return object()

    async with workers(module_redis.url, load, count=1) as (only,):
        with pytest.raises(TypeError):
            await only.get(1)


async def test_a_client_that_decodes_and_a_server_that_forgets_scripts(module_redis):
    database = Database()
    database.rows["ä"] = b"\xff"
    client = {"decode_responses": True}
    async with workers(module_redis.url, database.load, client=client) as (one, two):
        for _ in range(2):
            await one.redis.script_flush()
            assert await one.get("ä") == await two.get("ä") == b"\xff"
            await one.delete("ä")
        await until(lambda: two.statistics().changed == 2)


async def test_a_long_key_is_told_by_its_digest(module_redis):
    database = Database()
    async with workers(module_redis.url, database.load) as (one, two):
        await one.get("x" * 5000)
        await two.get("x" * 5000)
        assert database.loads == 1
        (name,) = await one.redis.keys("cache:row:*")
        assert len(name) < 60
        await one.delete("x" * 5000)
        await until(lambda: two.statistics().changed == 1)
        assert two.peek("x" * 5000, "nothing") == "nothing"


async def test_a_redis_that_is_away_leaves_what_is_held_and_the_loader(redis_server):
    database = Database()
    database.rows["a"] = 1
    client = {"retries": 1, "longest_backoff": 0.05}
    quick = {"heartbeat": 0.1, "rest": 0.05}
    found = workers(redis_server.url, database.load, client=client, remote=quick)
    async with found as (one, two):
        strict = Tiers(
            database.load, 60, name="strict", remote=two.remote, away="raise", once="machines"
        )
        assert await one.get("a") == 1 and await strict.get("a") == 1
        redis_server.stop()
        await until(lambda: not (one.remote.heard or two.remote.heard))
        assert await one.get("a") == 1 and database.loads == 2, "what is held is given"
        assert await one.get("b") is None and await two.get("a") == 1 and database.loads == 4
        assert one.statistics().away >= 1
        with pytest.raises(BackendError):
            await strict.get("b")
        assert await strict.get("a") == 1
        with pytest.raises(BackendError):
            await one.delete("a")
        assert one.peek("a") is None
        redis_server.start()
        await until(lambda: one.remote.heard and two.remote.heard)
        assert len(two.local) == 0, "what was said meanwhile is lost"
        await until(lambda: not (one.remote.rests or two.remote.rests))
        assert await one.get("a") == 1 and await two.get("a") == 1
        assert two.statistics().shared == 1


async def test_who_cannot_hear_forgets(redis_server):
    """Redis keeps its connections and says nothing: only asking it tells."""
    database = Database()
    database.rows["a"] = 1
    quick = {"heartbeat": 0.05, "timeout": 0.05, "rest": 0.05}
    found = workers(redis_server.url, database.load, count=1, remote=quick, unheard=0.05)
    async with found as (only,):
        await only.get("a")
        redis_server.pause()
        await until(lambda: not only.remote.heard)
        await until(lambda: len(only.local) == 0)
        database.rows["a"] = 2
        assert await only.get("a") == 2, "a Redis that hangs costs its timeout"
        assert only.local.get("a").end - only._now() <= 0.05
        redis_server.resume()
        await until(lambda: only.remote.heard)


async def test_a_subscriber_that_is_cut_off_hears_again(module_redis):
    database = Database()
    database.rows["a"] = 1
    async with workers(module_redis.url, database.load) as (one, two):
        await one.get("a")
        await two.get("a")
        deaf = []
        two.remote.attach("witness", Witness(deaf))
        await one.redis.execute("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: deaf[-1:] == [True])
        assert deaf == [False, True] and two.peek("a") is None
        await until(lambda: one.remote.heard)
        await two.get("a")
        await one.delete("a")
        await until(lambda: two.peek("a") is None)


class Witness:
    def __init__(self, heard):
        self.heard = heard

    def changed(self, wire):
        pass

    def hears(self, heard):
        self.heard.append(heard)


async def test_a_remote_that_is_not_open_is_a_mistake():
    async with Redis("127.0.0.1", 1) as redis:
        remote = Remote(redis)

        @cached(60, remote=remote, name="of")
        async def of(number: int) -> int:
            return number

        with pytest.raises(Misused, match="not open"):
            await of(7)
        with pytest.raises(Misused, match="not open"):
            await of.delete(7)
        with pytest.raises(BadSettings, match="two caches"):
            cached(60, remote=remote, name="of")(of.__wrapped__)
        async with remote:
            first = remote.told("of:7")
        async with remote:
            assert remote.told("of:7") != first, "children of one process tell themselves apart"
        with pytest.raises(BadSettings, match="above 0"):
            Remote(redis, timeout=0)
        with pytest.raises(BadSettings, match="has an end"):
            Tiers(asyncio.sleep, float("inf"), name="ever", remote=remote)
        with pytest.raises(BadSettings, match="behind"):
            Remote(RedisCluster("127.0.0.1", 1, read_from="any"))


async def test_a_server_that_refuses_is_of_no_help(redis_server, caplog):
    """What is permanent is in the log, once, and costs no pause: others may be served."""
    database = Database()
    database.rows["a"] = 1
    async with workers(redis_server.url, database.load, count=1) as (only,):
        await only.redis.execute("ACL", "SETUSER", "default", "-get")
        for _ in range(3):
            only.forget()
            assert await only.get("a") == 1
        assert database.loads == 3 and only.statistics().away == 3 and not only.remote.rests
        assert caplog.text.count("of no help: NOPERM") == 1


async def test_nobody_there():
    """A stop while it tries to connect."""
    async with Redis("127.0.0.1", 1, retries=1) as redis, Remote(redis, rest=60) as remote:
        cache = Tiers(asyncio.sleep, 60, name="n", remote=remote, away="raise")
        for _ in range(2):
            with pytest.raises(ConnectError):
                await cache.get(0)
        assert remote.rests and not remote.heard


async def test_names_do_not_outlive_what_they_are_of(module_redis, monkeypatch):
    monkeypatch.setattr("megahertz.cache.tiers.SLACK", 10)
    database = Database()
    async with workers(module_redis.url, database.load, count=1, local=LRU(8)) as (only,):
        await only.warm(range(200))
        assert len(only.local) == 8 and len(only._wires) <= 30
