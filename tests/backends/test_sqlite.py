"""SQLiteSink against a real file."""

import sqlite3
from pathlib import Path

import msgspec
import pytest

from megahertz.backends import SQLiteSink
from megahertz.backends.sqlite import PARAMETERS
from megahertz.errors import BadSettings, ConnectError, Poisoned, WriteError


class Order(msgspec.Struct):
    id: str
    sku: int
    note: str | None = None


def sink(path: Path, **settings) -> SQLiteSink[Order]:
    return SQLiteSink(path / "shop.db", "orders", type=Order, key="id", **settings)


def rows(path: Path) -> list[tuple]:
    with sqlite3.connect(path / "shop.db") as connection:
        found = connection.execute("SELECT id, sku, note FROM orders ORDER BY id").fetchall()
    connection.close()
    return found


async def test_a_batch_is_stored(tmp_path: Path):
    async with sink(tmp_path) as store:
        await store([Order("a", 1), Order("b", 2, "now")])

    assert rows(tmp_path) == [("a", 1, None), ("b", 2, "now")]


async def test_a_record_that_comes_twice_counts_once(tmp_path: Path):
    async with sink(tmp_path) as store:
        await store([Order("a", 1), Order("a", 1)])
        await store([Order("a", 9), Order("b", 2)])

    assert rows(tmp_path) == [("a", 1, None), ("b", 2, None)]


async def test_a_batch_of_several_statements_is_one_transaction(tmp_path: Path):
    many = [Order(f"{number:06}", number) for number in range(PARAMETERS // 3 + 1)]
    async with sink(tmp_path) as store:
        with pytest.raises(Poisoned) as refused:
            await store([*many, Order("z", 2**70)])
        assert list(refused.value.records) == [len(many)]
        assert rows(tmp_path) == []
        await store(many)

    assert len(rows(tmp_path)) == len(many)


async def test_a_broken_constraint_stores_nothing_and_names_the_record(tmp_path: Path):
    async with sink(tmp_path) as store:
        with pytest.raises(Poisoned) as refused:
            await store([Order("a", 1), Order("b", None)])
        assert refused.value.records == {1: "NOT NULL constraint failed: orders.sku"}
        await store([Order("c", 3)])

    assert rows(tmp_path) == [("c", 3, None)]


async def test_a_table_of_another_shape_is_no_fault_of_the_records(tmp_path: Path):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (number)")
    connection.close()
    async with sink(tmp_path) as store:
        with pytest.raises(WriteError, match="no column named id"):
            await store([Order("a", 1)])


async def test_a_locked_database_can_be_tried_again(tmp_path: Path):
    async with sink(tmp_path, timeout=0.01) as store:
        other = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WriteError, match="locked"):
            await store([Order("a", 1)])
        other.execute("ROLLBACK")
        other.close()
        await store([Order("a", 1)])

    assert rows(tmp_path) == [("a", 1, None)]


async def test_commits_are_synced(tmp_path: Path, monkeypatch):
    asked = []

    class Watched(sqlite3.Connection):
        def execute(self, sql, *arguments):
            asked.append(sql)
            return super().execute(sql, *arguments)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Watched))
    async with sink(tmp_path):
        pass

    assert asked[:2] == ["PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"]


async def test_a_path_that_cannot_be_opened_is_a_connect_error(tmp_path: Path):
    with pytest.raises(ConnectError, match="unable to open"):
        await sink(tmp_path / "missing").__aenter__()


async def test_an_unknown_key_is_refused_at_once(tmp_path: Path):
    with pytest.raises(BadSettings, match="no such field"):
        SQLiteSink(tmp_path / "a.db", "orders", type=Order, key="number")


async def test_a_sink_that_is_not_open_says_so(tmp_path: Path):
    with pytest.raises(BadSettings, match="not open"):
        await sink(tmp_path)([Order("a", 1)])
