"""A SQLite table as a sink: one transaction a batch, on a thread of its own."""

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from os import PathLike
from typing import Any, Generic, Self, TypeVar

from megahertz.backends.table import Column, columns, quoted, values
from megahertz.errors import BadSettings, ConnectError, Poisoned, RemoteError, WriteError

T = TypeVar("T")

KINDS: dict[type | None, str] = {
    bool: "INTEGER",
    int: "INTEGER",
    float: "REAL",
    str: "TEXT",
    bytes: "BLOB",
    None: "TEXT",
}
PARAMETERS = 32_766
"""SQLITE_MAX_VARIABLE_NUMBER since 3.32 (sqlite.org/limits.html, section 9)."""


REFUSALS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, OverflowError)
"""A record's own fault: a constraint, or a value that SQLite has no room for."""


class SQLiteSink(Generic[T]):
    """Stores each record once, by its key, in a table that is made where it is missing.

    Args:
        path: of the database file.
        table: its name.
        type: of the records; a field is a column. What SQLite has no type for is JSON text.
        key: the field, or the fields, that make a record the same record.
        timeout: seconds to wait for another writer's lock.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        table: str,
        *,
        type: type[T],
        key: str | Sequence[str],
        timeout: float = 5.0,
    ) -> None:
        self._path, self._timeout = path, timeout
        described = columns(type)
        self._values = values(type, described)
        self._width = len(described)
        self._create, self._insert = _statements(table, described, _keys(key, described))
        self._connection: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        try:
            await self._run(self._open)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._thread is not None:
            await self._run(self._close)
            self._thread.shutdown()
            self._thread = None

    async def __call__(self, batch: list[T], /) -> None:
        """Stores `batch` in one transaction; on return it is on the disk.

        Raises:
            WriteError: the database is locked, its disk is full, or its schema differs.
            Poisoned: some records break a constraint, or hold what SQLite cannot.
        """
        await self._run(self._store, batch)

    async def _run(self, call: Any, *arguments: Any) -> None:
        if self._thread is None:
            raise BadSettings("the sink is not open: use `async with`")
        await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def _open(self) -> None:
        try:
            self._connection = connection = sqlite3.connect(
                self._path, timeout=self._timeout, isolation_level=None
            )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(self._create)
        except sqlite3.Error as error:
            self._close()
            raise ConnectError(f"{self._path}: {error}") from error

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _store(self, batch: list[T]) -> None:
        if self._connection is None:
            self._open()
        try:
            try:
                self._write([self._values(record) for record in batch])
            except REFUSALS as error:
                raise self._judged(batch, error) from error
        except sqlite3.Error as error:
            # Whatever the connection was in the middle of: a new one for the next try.
            self._close()
            raise WriteError(f"{self._path}: {error}") from error

    def _judged(self, batch: list[T], error: Exception) -> RemoteError:
        """Which records it was: each by itself, and then nothing of it kept."""
        assert self._connection is not None, "opened by the caller"
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        found = {}
        self._connection.execute("BEGIN IMMEDIATE")
        for at, record in enumerate(batch):
            try:
                self._connection.execute(self._insert(1), self._values(record))
            except REFUSALS as why:
                found[at] = str(why)
        self._connection.execute("ROLLBACK")
        return Poisoned(found) if found else RemoteError(f"{self._path}: {error}")

    def _write(self, rows: list[tuple[Any, ...]]) -> None:
        """One statement where it fits: a thread that runs many queues for the interpreter each
        time (5 ms beside a busy loop), and one statement is a transaction by itself."""
        assert self._connection is not None, "opened by the caller"
        execute, most = self._connection.execute, PARAMETERS // self._width
        pieces = [rows[at : at + most] for at in range(0, len(rows), most)]
        if len(pieces) > 1:
            execute("BEGIN IMMEDIATE")
        for piece in pieces:
            execute(self._insert(len(piece)), [*chain.from_iterable(piece)])
        if len(pieces) > 1:
            execute("COMMIT")


def _keys(key: str | Sequence[str], described: Sequence[Column]) -> list[str]:
    keys = [key] if isinstance(key, str) else list(key)
    strangers = set(keys) - {column.name for column in described}
    if strangers or not keys:
        raise BadSettings(f"key={key!r}: no such field")
    return [quoted(each) for each in keys]


def _statements(table: str, described: Sequence[Column], keys: list[str]) -> tuple[str, Any]:
    name, key = quoted(table), ", ".join(keys)
    defined = ", ".join(
        f"{quoted(column.name)} {KINDS[column.kind]}{'' if column.optional else ' NOT NULL'}"
        for column in described
    )
    create = f"CREATE TABLE IF NOT EXISTS {name} ({defined}, PRIMARY KEY ({key}))"
    names = ", ".join(quoted(column.name) for column in described)
    row = "(" + ", ".join("?" * len(described)) + ")"

    def insert(count: int) -> str:
        rows = ", ".join([row] * count)
        return f"INSERT INTO {name} ({names}) VALUES {rows} ON CONFLICT ({key}) DO NOTHING"

    return create, insert
