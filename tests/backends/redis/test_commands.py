"""Every command gives what redis-py gives: the same calls, one after the other, to both."""

import datetime
import inspect
import re
from pathlib import Path

import pytest
from redis.asyncio import Redis as Theirs

from megahertz.backends import Redis
from megahertz.errors import Misused

SECOND = datetime.timedelta(seconds=1)
FAR = 4_000_000_000


def groups() -> dict[str, list[str]]:
    """The calls of `calls.txt`."""
    text = (Path(__file__).parent / "calls.txt").read_text()
    found = re.split(r"^\[(\w+)\]\n", text, flags=re.M)[1:]
    parts = [part.strip().split("\n") for part in found[1::2]]
    return dict(zip(found[::2], parts, strict=True))


CALLS = groups()
GIVEN = [group for group in CALLS if group != "wrong"]
MASKED = {
    "radix-tree-keys",
    "radix-tree-nodes",
    "seen-time",
    "idle",
    "inactive",
    "active-time",
    "pel",
}


def masked(value):
    """Without what depends on when it was asked."""
    if isinstance(value, dict):
        plain = {name: name.decode() if isinstance(name, bytes) else name for name in value}
        # Of XINFO STREAM FULL: who has got what, and when.
        lists = {
            name for name in value if plain[name] == "pending" and isinstance(value[name], list)
        }
        kept = [name for name in value if plain[name] not in MASKED and name not in lists]
        return {name: masked(value[name]) for name in kept}
    if isinstance(value, (list, tuple)):
        return type(value)(masked(each) for each in value)
    return value


async def made(client, call):
    """What a call comes to, its type included; an error by its words."""
    try:
        found = eval(f"client.{call}", {"SECOND": SECOND, "FAR": FAR, "client": client})
        found = masked(await found)
    except Exception as error:
        return "error", re.sub(r"^[A-Z]+ ", "", str(error))
    if call.startswith(("zdiff", "zrandmember", "zmpop", "bzmpop", "xinfo_stream")):
        # redis-py makes octets of RESP3's scores, even for who decodes, and of RESP3's consumers.
        found = str(found).replace("b'", "'")
    if call.startswith("xpending_range"):
        found = [{**each, "time_since_delivered": 0} for each in found]
    return type(found), found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("group", GIVEN)
@pytest.mark.parametrize("decode", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize("protocol", [3, 2])
async def test_what_redis_py_gives(store, group, decode, protocol):
    theirs = []
    async with Theirs(port=store.port, decode_responses=decode) as client:
        theirs = [(call, await made(client, call)) for call in CALLS[group]]
    store.ask("FLUSHALL")
    store.ask("SCRIPT", "FLUSH")
    options = {"decode_responses": decode, "protocol": protocol}
    async with Redis(port=store.port, **options) as client:
        ours = [(call, await made(client, call)) for call in CALLS[group]]
    assert [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]] == []


async def test_pipelines_give_the_same(store):
    """Each command in a pipeline of its own gives what it gives alone."""
    for group in GIVEN:
        alone, together = [], []
        for kind in ("FLUSHALL", "SCRIPT FLUSH"):
            store.ask(*kind.split())
        async with Redis(port=store.port) as client:
            alone = [(call, await made(client, call)) for call in CALLS[group]]
            for kind in ("FLUSHALL", "SCRIPT FLUSH"):
                store.ask(*kind.split())

            async def piped(call, client=client):
                pipe = client.pipeline(transaction=False)
                eval(f"pipe.{call}", {"SECOND": SECOND, "FAR": FAR, "pipe": pipe})
                return (await pipe.execute())[0]

            for call in CALLS[group]:
                try:
                    together.append((call, masked(await piped(call))))
                except Exception as error:
                    together.append((call, re.sub(r"^[A-Z]+ | \(command.*", "", str(error))))
        for (call, (_, expected)), (_, found) in zip(alone, together, strict=True):
            if not call.startswith(
                ("xpending_range", "zdiff", "zrand", "zmpop", "bzmpop", "xinfo")
            ):
                assert (call, found) == (call, expected)


async def test_iterators(store):
    async with Redis(port=store.port, decode_responses=True) as redis:
        await redis.mset({f"k{n}": n for n in range(300)})
        assert {key async for key in redis.scan_iter("k*", count=7)} == {
            f"k{n}" for n in range(300)
        }
        await redis.hset("h", mapping={f"f{n}": n for n in range(600)})
        assert len([pair async for pair in redis.hscan_iter("h", count=10)]) == 600
        await redis.sadd("s", *range(600))
        assert {int(member) async for member in redis.sscan_iter("s")} == set(range(600))
        await redis.zadd("z", {str(n): n for n in range(600)})
        assert [s async for _, s in redis.zscan_iter("z")].count(7.0) == 1


async def test_dump_and_restore_are_octets_even_to_who_decodes(store):
    async with Redis(port=store.port, decode_responses=True) as redis:
        await redis.set("a", "x")
        dumped = await redis.dump("a")
        assert isinstance(dumped, bytes)
        assert await redis.restore("b", 0, dumped)
        assert await redis.get("b") == "x"
        assert await redis.restore("b", 10_000, dumped, replace=True, idletime=5)
        assert await redis.dump("none") is None


async def test_what_it_says_about_itself(store):
    async with Redis(port=store.port) as redis:
        await redis.set("a", 1)
        info = await redis.info()
        assert info["tcp_port"] == store.port and info["db0"]["keys"] == 1
        assert (await redis.info("server"))["redis_mode"] == "standalone"
        seconds, micros = await redis.time()
        assert seconds > 1_600_000_000 and 0 <= micros < 1_000_000
        assert isinstance(await redis.lastsave(), datetime.datetime)
        assert isinstance(await redis.memory_usage("a", samples=0), int)
        number = await redis.client_id()
        assert number in [int(client["id"]) for client in await redis.client_list("normal")]
        info = await redis.client_info()
        assert int(info["id"]) == number
        assert await redis.client_pause(1, all=False) and await redis.client_unpause()
        assert await redis.client_kill(info["addr"])


@pytest.mark.parametrize("call", CALLS["wrong"])
async def test_arguments_that_contradict_each_other(call):
    client = Redis()
    with pytest.raises(Misused):
        eval(f"client.{call.strip()}", {"client": client})


def test_signatures_have_redis_pys_names():
    """Code that names its arguments moves over too."""
    missing = []
    for name, ours in inspect.getmembers(Redis, inspect.isfunction):
        theirs = getattr(Theirs, name, None)
        if name.startswith("_") or theirs is None or name in ("execute", "from_url", "pubsub"):
            continue
        known = inspect.signature(theirs).parameters
        if any(each.kind is each.VAR_KEYWORD for each in known.values()):
            continue
        named = set(inspect.signature(ours).parameters) - {"_", "args", "kwargs"}
        missing += [(name, argument) for argument in sorted(named - set(known))]
    assert missing == []
