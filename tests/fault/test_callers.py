"""Scenarios 17 to 19: the same order many times, callers that leave, and a second process."""

from collections import Counter
from pathlib import Path

from checker import Ledger, check, effects


async def test_a_hundred_duplicates_are_one_order(home: Path, start):
    ledger = Ledger(stock=5)
    async with start(home, ledger) as child:
        await child.ask(put=["same"] * 100)
        answers = Counter(tuple(event) for event in child.events)
        assert answers[("ack",)] == 100
        await child.ask(flush=1)

    assert effects(home / "shop.db") == {"same": 1}
    assert await check(home, ledger) == {"same"}


async def test_duplicates_after_a_kill_are_one_order(home: Path, start):
    ledger = Ledger(stock=5)
    for run in range(3):
        async with start(home, ledger) as child:
            await child.ask(put=["same"] * 100)
            assert sum("ack" in event for event in child.events) == 100, f"run {run}"
            child.kill()
            await child.end()

    assert await check(home, ledger) == {"same"}


async def test_another_order_under_a_used_key_is_refused_across_a_restart(home: Path, start):
    ledger = Ledger(stock=5)
    async with start(home, ledger) as child:
        await child.ask(put=["key"])
        await child.ask(flush=1)
        child.kill()
        await child.end()
    async with start(home, ledger) as child:
        await child.ask(put=["key#2"])
        assert (await child.heard("reused")) == {"reused": "key"}

    assert await check(home, ledger) == {"key"}


async def test_orders_whose_callers_left_exist_once_or_not(home: Path, start):
    ledger, names = Ledger(stock=500), [str(number) for number in range(100)]
    async with start(home, ledger) as child:
        await child.ask(cancel=names)
        await child.ask(put=names[::2])
        assert ledger.acked == set(names[::2])
        child.kill()
        await child.end()

    assert await check(home, ledger) <= set(names)


async def test_two_processes_on_one_journal_are_one_too_many(home: Path, start, launch):
    ledger = Ledger(stock=5)
    async with start(home, ledger) as first:
        async with launch(home, ledger) as second:
            assert await second.end() == 1
        assert "AlreadyHeld" in (home / "stderr").read_text()
        await first.ask(put=["a"])
        assert await first.end() == 0

    assert await check(home, ledger) == {"a"}


async def test_the_same_order_at_two_workers_is_one_order(home: Path, start):
    """Two journals, one database: its unique key is the judge."""
    ledger = Ledger(stock=5)
    async with start(home, ledger) as first, start(home, ledger, journal="second") as second:
        for child in (first, second):
            await child.ask(put=["same"])
        for child in (first, second):
            await child.ask(flush=1)
            assert sum("ack" in event for event in child.events) == 1
            assert await child.end() == 0

    assert effects(home / "shop.db") == {"same": 1}
