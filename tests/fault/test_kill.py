"""Scenarios 1 and 2: kill -9 at every write of a batch, and at random moments under load."""

import asyncio
import itertools
import os
import random
from pathlib import Path

import pytest
from checker import Ledger, check, prepare

KILLS = int(os.environ.get("MEGAHERTZ_FAULT_KILLS", "50"))
LANES = 2
"""Homes at once: two cores."""

BATCHES = [[f"{batch}-{number}-{'x' * 400}" for number in range(4)] for batch in range(3)]
"""5 kB: each call happens in the first segment, at its rotation, and in the second."""


async def strike(home: Path, call: str, count: int, launch, command) -> bool:
    """Kills a child at its `count`th `call`; false where it ended before that."""
    ledger = Ledger(stock=100)
    await prepare(home)
    under = command(f"{call}:signal=KILL:when={count}", home)
    async with launch(home, ledger, under=under, window=0) as child:
        child.say(script=BATCHES)
        code = await child.end()
    exist = await check(home, ledger)
    assert code in (0, -9), (home / "stderr").read_text()
    if code == 0:
        assert ledger.acked == exist == {name for batch in BATCHES for name in batch}
    return code != 0


async def sweep(tmp_path: Path, call: str, launch, command) -> int:
    """Strikes at the first, second, ... `call` until one run ends by itself."""
    for count in itertools.count(1, LANES):
        struck = await asyncio.gather(
            *(
                strike(tmp_path / f"{call}-{count + lane}", call, count + lane, launch, command)
                for lane in range(LANES)
            )
        )
        if not all(struck):
            return count - 1 + sum(struck)


@pytest.mark.parametrize(
    ("call", "least"),
    [
        ("pwrite64", 10),
        ("fdatasync", 5),
        ("fsync", 3),
        ("ftruncate", 2),
        ("rename", 1),
        ("unlink", 1),
    ],
)
async def test_a_kill_at_any_write_of_the_journal_loses_nothing(
    tmp_path: Path, launch, strace, segments, call: str, least: int
):
    kills = await sweep(tmp_path, call, launch, lambda it, home: strace(it, *segments(home)))

    assert kills >= least


@pytest.mark.parametrize(("call", "least"), [("pwrite64", 3), ("fdatasync", 2)])
async def test_a_kill_between_commit_and_mark_loses_nothing(
    tmp_path: Path, launch, strace, call: str, least: int
):
    def database(inject: str, home: Path) -> tuple[str, ...]:
        return strace(inject, *(home / f"shop.db{end}" for end in ("", "-wal", "-shm")))

    assert await sweep(tmp_path, call, launch, database) >= least


@pytest.mark.timeout(30 + KILLS)
async def test_kills_under_load_lose_nothing(tmp_path: Path, start):
    """One journal and one database live through all of a lane's kills."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")

    async def lane(number: int) -> None:
        chance, home = random.Random(seed + number), tmp_path / str(number)
        ledger = Ledger(stock=1_000_000)
        await prepare(home)
        for run in range(KILLS // LANES):
            async with start(home, ledger, window=100, segment_bytes=65_536) as child:
                child.say(load=f"{run}")
                await child.heard("ack")
                await asyncio.sleep(chance.uniform(0.0, 0.15))
                child.kill()
                assert await child.end() == -9
        exist = await check(home, ledger)
        assert len(ledger.acked) > KILLS
        async with start(home, Ledger(stock=len(exist) + 3)) as child:
            await child.ask(put=[f"rest-{number}" for number in range(10)])
            assert len(child.ledger.acked) == 3, "I3: stock is held by what exists, by no more"

    await asyncio.gather(*(lane(number) for number in range(LANES)))
