"""Scenarios 10 and 11: the database is away, or does not say whether it committed."""

import asyncio
import logging
from pathlib import Path

import asyncpg
from child import Order

from megahertz.backends import PostgresSink
from megahertz.data import WriteBehind
from megahertz.errors import Overloaded


class Cutter:
    """A proxy that swallows the answer to the next statement, once it was carried out."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.armed = False
        self.cuts = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc):
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_connection("127.0.0.1", self._port)
        ends = [asyncio.create_task(self._questions(reader, downstream))]
        ends.append(asyncio.create_task(self._answers(upstream, writer)))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        downstream.transport.abort()
        writer.transport.abort()

    async def _questions(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            # CommandComplete of an insert (protocol-message-formats: C, length, tag).
            if self.armed and b"INSERT 0 " in data:
                self.armed = False
                self.cuts += 1
                return
            writer.write(data)


def behind(home: Path, port: int, table: str, **settings) -> WriteBehind[Order]:
    dsn = f"postgresql://shop@127.0.0.1:{port}/postgres"
    sink = PostgresSink(dsn, table, type=Order, key="id", timeout=2.0)
    return WriteBehind(home / "journal", sink, type=Order, key=lambda it: it.id, **settings)


async def effects(postgres, table: str) -> list[str]:
    connection = await asyncpg.connect(postgres.dsn)
    try:
        return [row[0] for row in await connection.fetch(f"SELECT id FROM {table}_effects")]
    finally:
        await connection.close()


async def counted(postgres, table: str) -> None:
    """A table whose every insert leaves a trace that no key makes unique."""
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(
        f"CREATE TABLE {table} (id text PRIMARY KEY, sku bigint);"
        f"CREATE TABLE {table}_effects (n serial, id text);"
        f"CREATE FUNCTION {table}_note() RETURNS trigger LANGUAGE plpgsql AS $$"
        f" BEGIN INSERT INTO {table}_effects (id) VALUES (new.id); RETURN new; END $$;"
        f"CREATE TRIGGER note AFTER INSERT ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {table}_note()"
    )
    await connection.close()


async def test_a_database_that_is_away_costs_no_acknowledged_order(
    tmp_path: Path, postgres, caplog
):
    caplog.set_level(logging.CRITICAL)
    await counted(postgres, "away")
    async with behind(tmp_path, postgres.port, "away", capacity=50) as orders:
        await orders.put(Order("before"))
        await orders.flush()
        postgres.stop()
        told = await asyncio.gather(
            *(orders.put(Order(str(number))) for number in range(80)), return_exceptions=True
        )
        postgres.start()
        await orders.flush()

    acked = [str(number) for number, answer in enumerate(told) if answer is None]
    assert len(acked) == 50
    assert all(isinstance(answer, Overloaded) for answer in told if answer is not None)
    assert await effects(postgres, "away") == ["before", *acked]


async def test_a_commit_whose_answer_is_lost_is_not_doubled(tmp_path: Path, postgres, caplog):
    caplog.set_level(logging.CRITICAL)
    await counted(postgres, "lost")
    async with Cutter(postgres.port) as cutter:
        async with behind(tmp_path, cutter.port, "lost") as orders:
            await orders.put(Order("before"))
            await orders.flush()
            cutter.armed = True
            await orders.put(Order("cut"))
            await orders.flush()
            assert orders.statistics().sink_failures == 1
        assert cutter.cuts == 1

    assert await effects(postgres, "lost") == ["before", "cut"]
