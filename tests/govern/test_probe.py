"""Active probes: who is out, who comes back, and that callers do not ask together."""

import asyncio
import math
import random
from itertools import pairwise

import pytest

from megahertz.errors import BadSettings, ConnectError
from megahertz.govern.balance import Group, Health, Instance, Probe, Prober, RoundRobin
from tests.virtual import virtual


def group(*hosts, **health):
    members = [Instance(host=host, port=80) for host in hosts]
    return Group("svc", members, balancer=RoundRobin(), health=Health(**health))


def shares(group):
    return {peer.name.partition(":")[0]: peer.share for peer in group.statistics()}


class Asked:
    """Answers as told, and remembers when."""

    def __init__(self):
        self.well = {}
        self.times = {}

    async def __call__(self, instance):
        now = asyncio.get_running_loop().time()
        self.times.setdefault(instance.host, []).append(now)
        answer = self.well.get(instance.host, 200)
        if isinstance(answer, BaseException):
            raise answer
        if answer is None:
            await asyncio.Event().wait()
        return answer


async def probed(members, asked, seconds, **probe):
    """Probes for so long; gives the task."""
    task = asyncio.create_task(Prober(members, Probe(**probe), asked).run())
    await asyncio.sleep(seconds)
    return task


async def ended(task):
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize(
    "answer",
    [500, 404, None, ConnectError("gone"), OSError("gone"), ValueError("a bug")],
    ids=["500", "404", "silence", "ConnectError", "OSError", "bug"],
)
@virtual
async def test_who_fails_often_enough_is_out_and_the_others_stay(answer):
    members, asked = group("a", "b"), Asked()
    asked.well["a"] = answer
    task = await probed(members, asked, 45, every=10, unhealthy=3)

    assert shares(members) == {"a": 0, "b": 1}
    assert members.statistics()[0].out == math.inf
    assert len(asked.times["a"]) in (4, 5)
    await ended(task)


@virtual
async def test_one_failure_is_not_enough():
    members, asked = group("a"), Asked()
    asked.well["a"] = 500
    task = await probed(members, asked, 10.5, every=10, unhealthy=3)

    assert len(asked.times["a"]) < 3
    assert shares(members) == {"a": 1}
    await ended(task)


@virtual
async def test_who_is_well_again_comes_back_slowly():
    members, asked = group("a", "b", slow_start=20), Asked()
    asked.well["a"] = 503
    task = await probed(members, asked, 60, every=10)
    out = shares(members)
    del asked.well["a"]
    before = len(asked.times["a"])
    while len(asked.times["a"]) < before + 2:  # noqa: ASYNC110 - in virtual time
        await asyncio.sleep(0.1)
    back = shares(members)
    await asyncio.sleep(20)

    assert out == {"a": 0, "b": 1}
    assert back == {"a": pytest.approx(0.1, abs=0.01), "b": 1}
    assert shares(members) == {"a": 1, "b": 1}
    await ended(task)


@virtual
async def test_calls_that_fail_are_not_forgiven_by_a_probe():
    """A health page that answers while calls fail must not bring the instance back."""
    members, asked = group("a", "b", fail_timeout=1000), Asked()
    for _ in range(4):
        with pytest.raises(ConnectError), members.acquire(avoid={"b:80"}):
            raise ConnectError("refused")
    task = await probed(members, asked, 60, every=10)

    assert shares(members) == {"a": 0, "b": 1}
    await ended(task)


@virtual
async def test_where_everybody_is_out_everybody_is_tried():
    members, asked = group("a", "b"), Asked()
    asked.well |= {"a": 500, "b": 500}
    task = await probed(members, asked, 60, every=10)
    met = set()
    for _ in range(2):
        with members.acquire() as peer:
            met.add(peer.instance.host)

    assert met == {"a", "b"}
    await ended(task)


@virtual
async def test_callers_that_start_together_do_not_ask_together():
    asked, tasks = [Asked() for _ in range(40)], []
    for one in asked:
        drawn = random.Random(len(tasks)).random
        prober = Prober(group("a"), Probe(every=10), one, random=drawn)
        tasks.append(asyncio.create_task(prober.run()))
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(60)
    firsts = [int(one.times["a"][0] - began) for one in asked]
    gaps = [b - a for one in asked for a, b in pairwise(one.times["a"])]

    assert max(map(firsts.count, range(10))) < 12  # of 40 over 10 s; in step it would be all
    assert min(gaps) >= 9 - 1e-6
    assert max(gaps) <= 11 + 1e-6
    assert len({round(gap, 3) for gap in gaps}) > len(gaps) / 2
    for task in tasks:
        await ended(task)


@virtual
async def test_who_comes_is_asked_and_who_goes_is_not():
    members, asked = group("a"), Asked()
    task = await probed(members, asked, 30, every=10)
    members.update([Instance(host="b", port=80)])
    await asyncio.sleep(25)
    before = len(asked.times["a"])
    await asyncio.sleep(50)

    assert len(asked.times["b"]) >= 5
    assert len(asked.times["a"]) == before
    await ended(task)


@virtual
async def test_a_slow_instance_delays_only_its_own_probes():
    members, asked = group("a", "b"), Asked()
    asked.well["a"] = None
    task = await probed(members, asked, 100, every=10, timeout=8)

    assert len(asked.times["b"]) >= 8
    await ended(task)


def test_an_unknown_instance_is_nobodys():
    members = group("a")
    members.mark("c:80", healthy=False)

    assert shares(members) == {"a": 1}


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": 0}, {"every": 0}, {"healthy": 0}, {"unhealthy": 0}, {"path": "health"}],
    ids=str,
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(BadSettings):
        Probe(**wrong)
