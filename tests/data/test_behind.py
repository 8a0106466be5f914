"""WriteBehind over a real journal and a sink in memory."""

import asyncio
import logging
import resource
from pathlib import Path
from typing import Any

import msgspec
import pytest

from megahertz.data import WriteBehind
from megahertz.engine import Journal
from megahertz.errors import (
    AlreadyHeld,
    BadSettings,
    Invalid,
    JournalCorrupt,
    JournalFailed,
    KeyReused,
    Overloaded,
)


class Order(msgspec.Struct, frozen=True):
    id: str
    sku: int = 1


class Shelf:
    """A sink that remembers its batches, fails as often as told, and waits while it is shut."""

    def __init__(self) -> None:
        self.batches: list[list[Order]] = []
        self.failures = 0
        self.calls = 0
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, batch: list[Order]) -> None:
        self.calls += 1
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("away")
        self.batches.append(list(batch))

    @property
    def ids(self) -> list[str]:
        return [order.id for batch in self.batches for order in batch]


def behind(directory: Path, sink: Any, **settings: Any) -> WriteBehind[Order]:
    settings = {"close_timeout": 5.0, "linger": 0.0} | settings
    return WriteBehind(directory / "journal", sink, type=Order, key=lambda it: it.id, **settings)


async def test_an_acknowledged_record_reaches_the_sink(tmp_path: Path):
    shelf = Shelf()
    async with behind(tmp_path, shelf) as orders:
        await orders.put(Order("a"))
        assert orders.statistics().durable == 1

    assert shelf.ids == ["a"]


async def test_records_keep_their_order_over_batches(tmp_path: Path):
    shelf, expected = Shelf(), [str(number) for number in range(100)]
    async with behind(tmp_path, shelf, batch=7) as orders:
        await asyncio.gather(*(orders.put(Order(each)) for each in expected))

    assert shelf.ids == expected
    assert max(map(len, shelf.batches)) == 7


async def test_a_failing_sink_is_called_again_with_the_same_records(tmp_path: Path, caplog):
    caplog.set_level(logging.CRITICAL)
    shelf = Shelf()
    shelf.failures = 2
    async with behind(tmp_path, shelf) as orders:
        await orders.put(Order("a"))

    assert (shelf.ids, shelf.calls) == (["a"], 3)
    assert orders.statistics().sink_failures == 2
    assert orders.statistics().last_error == "ConnectionError: away"


async def test_what_the_sink_never_took_waits_for_the_next_start(tmp_path: Path):
    shelf = Shelf()
    shelf.open.clear()
    async with behind(tmp_path, shelf, close_timeout=0.01) as orders:
        await orders.put(Order("a"))
    again = Shelf()
    async with behind(tmp_path, again) as orders:
        assert orders.recovered == (Order("a"),)

    assert (shelf.ids, again.ids) == ([], ["a"])


async def test_what_the_sink_has_is_not_replayed(tmp_path: Path):
    async with behind(tmp_path, Shelf()) as orders:
        await orders.put(Order("a"))
    async with behind(tmp_path, Shelf()) as orders:
        assert orders.recovered == ()


async def test_a_full_journal_refuses_and_says_when_to_come_back(tmp_path: Path):
    shelf = Shelf()
    shelf.open.clear()
    async with behind(tmp_path, shelf, capacity=2) as orders:
        await orders.put(Order("a"))
        await orders.put(Order("b"))
        with pytest.raises(Overloaded) as refused:
            await orders.put(Order("c"))
        assert refused.value.retry_after == 1.0
        assert orders.statistics().refused == 1
        shelf.open.set()

    assert shelf.ids == ["a", "b"]


async def test_a_refused_key_is_free_again(tmp_path: Path):
    shelf = Shelf()
    shelf.open.clear()
    async with behind(tmp_path, shelf, capacity=1) as orders:
        await orders.put(Order("a"))
        with pytest.raises(Overloaded):
            await orders.put(Order("b"))
        shelf.open.set()
        await orders.flush()
        await orders.put(Order("b"))

    assert shelf.ids == ["a", "b"]


@pytest.mark.parametrize("pending", [True, False], ids=["pending", "persisted"])
async def test_a_repeat_is_answered_without_a_second_record(tmp_path: Path, pending: bool):
    shelf = Shelf()
    if pending:
        shelf.open.clear()
    async with behind(tmp_path, shelf) as orders:
        await orders.put(Order("a"))
        if not pending:
            await orders.flush()
        await orders.put(Order("a"))
        assert orders.statistics().duplicates == 1
        shelf.open.set()

    assert shelf.ids == ["a"]


async def test_simultaneous_repeats_all_wait_for_the_one_record(tmp_path: Path):
    shelf = Shelf()
    async with behind(tmp_path, shelf) as orders:
        await asyncio.gather(*(orders.put(Order("a")) for _ in range(100)))
        assert orders.statistics().duplicates == 99
        assert orders.statistics().durable == 1

    assert shelf.ids == ["a"]


async def test_a_key_used_for_another_record_is_a_conflict(tmp_path: Path):
    async with behind(tmp_path, Shelf()) as orders:
        await orders.put(Order("a", sku=1))
        with pytest.raises(KeyReused):
            await orders.put(Order("a", sku=2))


async def test_a_repeat_across_a_restart_is_known(tmp_path: Path):
    async with behind(tmp_path, Shelf()) as orders:
        await orders.put(Order("a"))
    shelf = Shelf()
    async with behind(tmp_path, shelf) as orders:
        await orders.put(Order("a"))
        with pytest.raises(KeyReused):
            await orders.put(Order("a", sku=2))

    assert shelf.ids == []


async def test_a_key_beyond_the_window_is_taken_for_new(tmp_path: Path):
    shelf = Shelf()
    async with behind(tmp_path, shelf, window=1) as orders:
        for each in ("a", "b", "a"):
            await orders.put(Order(each))
            await orders.flush()

    assert shelf.ids == ["a", "b", "a"]


async def test_an_equal_record_of_an_older_type_is_a_repeat(tmp_path: Path):
    class Old(msgspec.Struct):
        id: str

    old = WriteBehind(tmp_path / "journal", Shelf(), type=Old, key=lambda it: it.id)
    async with old as orders:
        await orders.put(Old("a"))
    async with behind(tmp_path, Shelf()) as orders:
        await orders.put(Order("a"))
        assert orders.statistics().duplicates == 1


async def test_a_pending_record_of_a_type_that_changed_stops_the_start(tmp_path: Path):
    class Old(msgspec.Struct):
        name: int

    shelf = Shelf()
    shelf.open.clear()
    old = WriteBehind(
        tmp_path / "journal", shelf, type=Old, key=lambda it: it.name, close_timeout=0.01
    )
    async with old as orders:
        await orders.put(Old(1))
    with pytest.raises(BadSettings, match=r"record 1 in .* is no Order"):
        await behind(tmp_path, Shelf()).__aenter__()


async def test_a_cancelled_put_leaves_its_record_once(tmp_path: Path):
    shelf = Shelf()
    async with behind(tmp_path, shelf) as orders:
        put = asyncio.create_task(orders.put(Order("a")))
        await asyncio.sleep(0)
        put.cancel()
        await asyncio.wait([put])
        assert put.cancelled()
        await orders.put(Order("a"))

    assert shelf.ids == ["a"]


async def test_a_repeat_outlives_the_cancelled_first(tmp_path: Path):
    async with behind(tmp_path, Shelf()) as orders:
        first = asyncio.create_task(orders.put(Order("a")))
        second = asyncio.create_task(orders.put(Order("a")))
        await asyncio.sleep(0)
        first.cancel()
        await second
        assert orders.statistics().durable == 1


async def test_a_record_that_is_not_of_the_type_is_refused(tmp_path: Path):
    shelf = Shelf()
    async with behind(tmp_path, shelf) as orders:
        with pytest.raises(Invalid) as refused:
            await orders.put(Order("a", sku="three"))
        assert refused.value.errors == [
            {"where": "record", "rule": "Expected `int`, got `str` - at `$.sku`"}
        ]

    assert shelf.ids == []


async def test_a_second_process_is_refused(tmp_path: Path):
    async with behind(tmp_path, Shelf()):
        with pytest.raises(AlreadyHeld):
            await behind(tmp_path, Shelf()).__aenter__()


async def test_a_put_after_the_end_is_refused(tmp_path: Path):
    async with behind(tmp_path, Shelf()) as orders:
        pass
    with pytest.raises(Overloaded, match="not open"):
        await orders.put(Order("a"))


async def test_the_worker_is_named_in_the_directory(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MEGAHERTZ_WORKER", "3")
    orders = WriteBehind(
        tmp_path / "worker-{worker}", Shelf(), type=Order, key=lambda order: order.id
    )
    assert orders.directory == str(tmp_path / "worker-3")


async def test_a_sink_that_is_a_context_manager_is_opened_and_closed(tmp_path: Path):
    class Door(Shelf):
        seen: list[str] = []

        async def __aenter__(self):
            self.seen.append("open")

        async def __aexit__(self, *exc):
            self.seen.append(f"close after {self.ids}")

    door = Door()
    async with behind(tmp_path, door) as orders:
        await orders.put(Order("a"))

    assert door.seen == ["open", "close after ['a']"]


async def test_a_sink_that_does_not_open_lets_go_of_the_journal(tmp_path: Path):
    class Stuck(Shelf):
        async def __aenter__(self):
            raise ConnectionError("no")

        async def __aexit__(self, *exc):
            pass

    with pytest.raises(ConnectionError):
        await behind(tmp_path, Stuck()).__aenter__()
    async with behind(tmp_path, Shelf()) as orders:
        await orders.put(Order("a"))


async def test_a_damaged_journal_names_file_and_offset(tmp_path: Path):
    async with behind(tmp_path, Shelf()) as orders:
        await orders.put(Order("a"))
        await orders.put(Order("b"))
    segment = next((tmp_path / "journal").glob("*.segment"))
    damaged = bytearray(segment.read_bytes())
    damaged[64 + 24 + 16] ^= 1
    segment.write_bytes(damaged)
    with pytest.raises(JournalCorrupt, match="offset 88") as refused:
        await behind(tmp_path, Shelf()).__aenter__()

    assert (refused.value.file, refused.value.offset) == (str(segment), 88)


async def test_segments_go_once_their_keys_left_the_window(tmp_path: Path):
    async with behind(tmp_path, Shelf(), segment_bytes=4096, window=10) as orders:
        for number in range(400):
            await orders.put(Order(f"{number:030}"))

    assert orders.statistics().segments <= 2


@pytest.mark.parametrize("name", ["capacity", "batch", "segment_bytes", "window", "linger"])
async def test_a_setting_out_of_range_is_named(tmp_path: Path, name: str):
    with pytest.raises(BadSettings, match=name):
        behind(tmp_path, Shelf(), **{name: -1})


@pytest.fixture
def small_files():
    """No file may grow beyond 2 MiB: a disk that is full, without one (setrlimit(2), EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_refuses_keeps_nothing_and_recovers(tmp_path: Path, small_files):
    shelf = Shelf()
    async with behind(tmp_path, shelf) as orders:
        await orders.put(Order("small"))
        with pytest.raises(Overloaded, match="File too large") as refused:
            await orders.put(Order("large" * 500_000))
        assert refused.value.retry_after == 1.0
        await orders.put(Order("small too"))
        assert orders.statistics().refused == 1
    async with behind(tmp_path, shelf) as orders:
        assert orders.recovered == ()

    assert shelf.ids == ["small", "small too"]


async def test_a_refusal_before_a_new_segment_leaves_no_hole(tmp_path: Path, small_files):
    """The numbers of refused records are skipped: the next segment has to be told so."""
    shelf = Shelf()
    async with behind(tmp_path, shelf, segment_bytes=1 << 20, window=9) as orders:
        await orders.put(Order("a"))
        with pytest.raises(Overloaded):
            await orders.put(Order("x" * (3 << 20)))
        await orders.put(Order("b" * 1_500_000))
        await orders.put(Order("c"))
        assert orders.statistics().segments == 4
    async with behind(tmp_path, shelf) as orders:
        await orders.put(Order("d"))

    assert [each[0] for each in shelf.ids] == ["a", "b", "c", "d"]


class Failing:
    """A journal whose syncs fail from the second outcome on."""

    def __init__(self, directory: str, **bounds: int) -> None:
        self._journal = Journal(directory, **bounds)
        self._seen = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def outcomes(self) -> list[tuple[int, str, str]]:
        told = self._journal.outcomes()
        self._seen += len(told)
        return told if self._seen < 2 else [(upto, "failed", "EIO") for upto, _, _ in told]


async def test_after_a_failed_sync_everybody_is_told(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("megahertz.data.behind.Journal", Failing)
    shelf = Shelf()
    async with behind(tmp_path, shelf) as orders:
        await orders.put(Order("a"))
        told = await asyncio.gather(
            orders.put(Order("b")), orders.put(Order("b")), return_exceptions=True
        )
        assert [type(each) for each in told] == [JournalFailed, JournalFailed]
        assert orders.statistics().failed == "EIO"

    assert shelf.ids == ["a"]


async def test_a_flush_waits_for_what_is_not_durable_yet(tmp_path: Path):
    shelf = Shelf()
    async with behind(tmp_path, shelf) as orders:
        put = asyncio.create_task(orders.put(Order("a")))
        await asyncio.sleep(0)
        await orders.flush()
        assert shelf.ids == ["a"]
        await put


async def test_persisted_records_of_another_type_are_no_hindrance(tmp_path: Path):
    class Old(msgspec.Struct):
        name: int

    async with WriteBehind(
        tmp_path / "journal", Shelf(), type=Old, key=lambda it: it.name
    ) as orders:
        await orders.put(Old(1))
    async with behind(tmp_path, Shelf()) as orders:
        await orders.put(Order("a"))


async def test_statistics_before_the_start_say_what_is_missing(tmp_path: Path):
    with pytest.raises(BadSettings, match="async with"):
        behind(tmp_path, Shelf()).statistics()
