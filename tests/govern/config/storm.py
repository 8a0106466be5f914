"""Changes of settings while etcd is killed, compacted and cut off, and what has to hold.

    python -m tests.govern.config.storm 10000

Every subscriber is told each applied version once, in order, with the value that was written at
that version, and ends at the last; none is missing but where etcd had compacted it away.
"""

import asyncio
import itertools
import logging
import random
import sys
import tempfile
from pathlib import Path

import msgspec

from megahertz.backends import Etcd
from megahertz.errors import BackendError
from megahertz.govern.config import Configuration
from tests import cluster

KEY = "storm/settings"
QUICK = {"ping": 0.3, "ping_timeout": 0.3, "timeout": 30.0, "longest_backoff": 0.2}


class Settings(msgspec.Struct, frozen=True):
    number: int = 0
    twice: int = 0  # half a change would show


class Writer:
    """Writes numbers, and knows at which version each was written, whatever happens."""

    def __init__(self, etcd):
        self._etcd = etcd
        self.written = {}

    async def write(self, number):
        text = msgspec.json.encode({"number": number, "twice": 2 * number})
        while True:
            try:
                self.written[await self._etcd.put(KEY, text)] = number
                return
            except BackendError:  # nobody knows whether it was done: look
                found = await self._etcd.get(KEY)
                if found is not None and found.value == text:
                    self.written[found.modified] = number
                    return


class Faults:
    """One after the other; between two of them everybody catches up."""

    def __init__(self, server, proxy, etcd):
        self._server, self._proxy, self._etcd = server, proxy, etcd
        self._now = ""
        self.counts = {"kill": 0, "compact": 0, "partition": 0, "delay": 0}

    async def begin(self, kind):
        self.counts[kind] += 1
        self._now = kind
        if kind == "kill":
            self._server.kill()
            await asyncio.to_thread(self._server.start)
        elif kind == "delay":
            await asyncio.to_thread(self._proxy.delay, "etcd", 20)
        else:
            await asyncio.to_thread(self._proxy.cut, "etcd")

    async def end(self, written):
        """What was cut off and compacted since cannot be had any more."""
        if self._now == "compact":
            await self._etcd.compact(max(written))
        await asyncio.to_thread(self._proxy.heal)


async def storm(folder, changes, *, every, kinds):
    """A fault begins every so many changes, and ends halfway to the next.

    Returns:
        The statistics, and how often there was which fault.
    """
    server, proxy = cluster.Etcd(folder), cluster.Toxiproxy()
    try:
        port = proxy.between("etcd", server.port)
        async with (
            Etcd(server.endpoint, **QUICK) as direct,
            Etcd(f"127.0.0.1:{port}", **QUICK) as proxied,
        ):
            writer, harm = Writer(direct), Faults(server, proxy, direct)
            await writer.write(0)
            settings = Configuration(Settings, etcd=proxied, key=KEY, required=True)
            told, reached = _subscribe(settings)
            async with settings:
                for number in range(1, changes + 1):
                    if number % every == 0:
                        await harm.begin(next(kinds))
                    await writer.write(number)
                    if number % every == every // 2:
                        await harm.end(writer.written)
                        await reached(number)
                await harm.end(writer.written)
                await reached(changes)
                seen = settings.statistics()
        check(told, writer.written, seen)
        return seen, harm.counts
    finally:
        proxy.stop()
        server.resume()
        server.kill()


def _subscribe(settings):
    """Three: a plain one, a slow one, and one that fails at times."""
    told, changed = [[], [], []], asyncio.Condition()

    async def note(place, snapshot):
        told[place].append((snapshot.version, snapshot.value))
        async with changed:
            changed.notify_all()

    @settings.subscribe
    async def prompt(snapshot):
        await note(0, snapshot)

    @settings.subscribe
    async def slow(snapshot):
        for _ in range(snapshot.version % 7):
            await asyncio.sleep(0)
        await note(1, snapshot)

    @settings.subscribe
    async def failing(snapshot):
        await note(2, snapshot)
        if snapshot.version % 50 == 0:
            raise ValueError("a subscriber's own trouble")

    async def reached(number):
        async with changed:
            await changed.wait_for(lambda: all(it and it[-1][1].number >= number for it in told))

    return told, reached


def check(told, written, seen):
    """What has to hold; `written` is every version with its number."""
    versions = [version for version, _ in told[0]]
    assert told[1] == told[0] and told[2] == told[0], "subscribers were told different things"
    assert all(one < two for one, two in itertools.pairwise(versions)), "order"
    for version, value in told[0]:
        assert written[version] == value.number, f"version {version} was another value"
        assert value.twice == 2 * value.number, "half a change"
    assert versions[-1] == max(written), "not the last"
    missing = set(written) - set(versions)
    assert seen.rereads or not missing, f"lost without a compaction: {sorted(missing)[:5]}"
    assert seen.refused == 0


if __name__ == "__main__":
    logging.disable()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    drawn = random.Random(1)
    kinds = iter(lambda: drawn.choice(["kill", "compact", "partition", "delay"]), "")
    with tempfile.TemporaryDirectory() as place:
        print(*asyncio.run(storm(Path(place), count, every=100, kinds=kinds)), sep="\n")
