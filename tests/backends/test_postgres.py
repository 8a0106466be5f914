"""PostgresSink against a real server."""

import asyncio

import asyncpg
import msgspec
import pytest

from megahertz.backends import PostgresSink
from megahertz.errors import BadSettings, ConnectError, Poisoned, ReadError, RemoteError


class Order(msgspec.Struct):
    id: str
    sku: int
    paid: bool = False
    price: float | None = None
    proof: bytes | None = None
    lines: list[int] | None = None


@pytest.fixture
def table(request: pytest.FixtureRequest) -> str:
    """A name of this test's own."""
    return request.node.name.removeprefix("test_")[:63]


async def rows(postgres, query: str) -> list[tuple]:
    connection = await asyncpg.connect(postgres.dsn)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


def sink(postgres, table: str, **settings) -> PostgresSink[Order]:
    return PostgresSink(postgres.dsn, table, type=Order, key="id", **settings)


async def test_a_batch_is_stored_with_its_types(postgres, table: str):
    async with sink(postgres, table) as store:
        await store([Order("a", 1, True, 0.5, b"\0", [1, 2]), Order("b", 2)])

    assert await rows(postgres, f"SELECT * FROM {table} ORDER BY id") == [
        ("a", 1, True, 0.5, b"\0", "[1, 2]"),
        ("b", 2, False, None, None, None),
    ]


async def test_a_record_that_comes_twice_counts_once(postgres, table: str):
    async with sink(postgres, table) as store:
        await store([Order("a", 1), Order("a", 1)])
        await store([Order("a", 9), Order("b", 2)])

    assert await rows(postgres, f"SELECT id, sku FROM {table} ORDER BY id") == [("a", 1), ("b", 2)]


async def test_a_refused_record_stores_nothing_of_its_batch(postgres, table: str):
    async with sink(postgres, table) as store:
        with pytest.raises(Poisoned) as refused:
            await store([Order("a", 1), Order("b\0", 1), Order("c", 2**63)])
        assert sorted(refused.value.records) == [1, 2]
        await store([Order("d", 3)])

    assert await rows(postgres, f"SELECT id FROM {table}") == [("d",)]


async def test_a_table_of_another_shape_is_no_fault_of_the_records(postgres, table: str):
    await rows(postgres, f"CREATE TABLE {table} (number int)")
    async with sink(postgres, table) as store:
        with pytest.raises(RemoteError):
            await store([Order("a", 1)])


async def test_a_lost_connection_is_made_again(postgres, table: str):
    async with sink(postgres, table) as store:
        await store([Order("a", 1)])
        await rows(
            postgres,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
        try:
            await store([Order("b", 2)])
        except ReadError:
            await store([Order("b", 2)])

    assert await rows(postgres, f"SELECT id FROM {table} ORDER BY id") == [("a",), ("b",)]


async def test_a_server_that_is_away_is_a_connect_error(table: str):
    with pytest.raises(ConnectError):
        await PostgresSink("postgresql://shop@127.0.0.1:1/x", table, type=Order, key="id")(
            [Order("a", 1)]
        )


async def test_a_name_that_needs_quotes_is_refused(postgres):
    with pytest.raises(BadSettings):
        sink(postgres, "orders; drop table orders")


async def test_a_key_of_several_fields(postgres, table: str):
    store = PostgresSink(postgres.dsn, table, type=Order, key=("id", "sku"))
    async with store:
        await store([Order("a", 1), Order("a", 2), Order("a", 1)])

    assert len(await rows(postgres, f"SELECT id FROM {table}")) == 2


async def test_a_schema_that_is_missing_is_no_lost_connection(postgres):
    async with sink(postgres, "nowhere.orders") as store:
        with pytest.raises(RemoteError, match="nowhere"):
            await store([Order("a", 1)])


async def test_a_cancelled_batch_leaves_a_sink_that_works(postgres, table: str):
    async with sink(postgres, table) as store:
        await store([Order("a", 1)])
        other = await asyncpg.connect(postgres.dsn)
        lock = other.transaction()
        await lock.start()
        await other.execute(f"LOCK TABLE {table}")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await store([Order("b", 2)])
        await lock.rollback()
        await other.close()
        await store([Order("b", 2)])

    assert await rows(postgres, f"SELECT id FROM {table} ORDER BY id") == [("a",), ("b",)]


async def test_a_batch_that_takes_too_long_is_a_read_error(postgres, table: str):
    async with sink(postgres, table, timeout=0.2) as store:
        await store([Order("a", 1)])
        other = await asyncpg.connect(postgres.dsn)
        async with other.transaction():
            await other.execute(f"LOCK TABLE {table}")
            with pytest.raises(ReadError, match="timed out"):
                await store([Order("b", 2)])
        await other.close()


async def test_an_unknown_key_is_refused_at_once(postgres, table: str):
    with pytest.raises(BadSettings, match="no such field"):
        PostgresSink(postgres.dsn, table, type=Order, key="number")


async def test_a_bug_in_a_record_is_not_the_database(postgres, table: str):
    async with sink(postgres, table) as store:
        with pytest.raises(AttributeError):
            await store([object()])
