"""Whatever tells figures tells those of the table, with labels that come back as they were."""

import asyncio

import pytest

from megahertz.backends import Redis, RedisCluster
from megahertz.data import WriteBehind
from megahertz.engine import Figure, Plane
from megahertz.http import Background, Rooms, Threads
from megahertz.observe import Logs, Runtime
from megahertz.observe.collect import collect
from megahertz.observe.families import ALL, NAMED
from megahertz.observe.sources import SOURCES, is_counter

NAME_BYTES = 88
"""What a plane keeps of a name (rust/plane/src/directory.rs)."""


def journal(folder):
    async def sink(batch): ...

    return WriteBehind(folder / "orders", sink, type=int, key=lambda it: it)


SOURCES_OF = {
    "threads": lambda folder: Threads(),
    "background": lambda folder: Background(Threads(), print),
    "rooms": lambda folder: Rooms("lobby"),
    "journal": journal,
    "redis": lambda folder: Redis(),
    "cluster": lambda folder: RedisCluster(),
    "logs": lambda folder: Logs(),
    "runtime": lambda folder: Runtime(),
}


@pytest.mark.parametrize("name", SOURCES_OF)
async def test_what_it_tells_is_in_the_table(name, tmp_path):
    source = SOURCES_OF[name](tmp_path)
    assert source in SOURCES
    if name == "journal":
        assert list(source.figures()) == []  # not opened yet
        async with source:
            told = dict(source.figures())
    else:
        told = dict(source.figures())

    plane = Plane()
    for series, value in told.items():
        assert len(series.encode()) <= NAME_BYTES
        Figure(plane, series, counter=is_counter(series)).set(value + 1)
    await asyncio.sleep(0)
    found = {family.name: points for family, points in collect(plane)}
    assert {series.partition("{")[0] for series in told} <= found.keys() & NAMED.keys()
    assert sum(len(points) for key, points in found.items() if key != "workers") == len(told)


def test_a_runtime_tells_what_it_has_found():
    runtime = Runtime()
    runtime._alarms["lag"] = 2
    runtime._kinds = ("tasks", "tasks")
    assert dict(runtime.figures()) == {
        "blocked_total": 0,
        'alarms_total{figure="lag"}': 2,
        'leaks_total{kind="tasks"}': 2,
    }


def test_no_name_is_there_twice():
    names = [family.name for family in ALL]
    assert len(set(names)) == len(names)
