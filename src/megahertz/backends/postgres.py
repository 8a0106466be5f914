"""A PostgreSQL table as a sink: one statement a batch, over asyncpg."""

import asyncio
from collections.abc import Sequence
from typing import Any, Generic, Self, TypeVar

from megahertz.backends.table import Column, columns, quoted, values
from megahertz.errors import (
    BackendError,
    BadSettings,
    ConnectError,
    Poisoned,
    ReadError,
    RemoteError,
)

try:
    import asyncpg
except ImportError:  # the extra `megahertz[postgres]`
    asyncpg = None

T = TypeVar("T")

KINDS: dict[type | None, str] = {
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    str: "text",
    bytes: "bytea",
    None: "jsonb",
}


class PostgresSink(Generic[T]):
    """Stores each record once, by its key, in a table that is made where it is missing.

    It connects with its first batch and again after a lost connection, so that an application
    can start, and acknowledge, while the database is away.

    Args:
        dsn: `postgresql://user:password@host:port/database`.
        table: its name, or `schema.table`.
        type: of the records; a field is a column. What has no plain type is jsonb.
        key: the field, or the fields, that make a record the same record.
        timeout: seconds for a connection, and for a batch.
    """

    def __init__(
        self,
        dsn: str,
        table: str,
        *,
        type: type[T],
        key: str | Sequence[str],
        timeout: float = 10.0,
    ) -> None:
        if asyncpg is None:
            raise BadSettings("PostgresSink needs asyncpg: pip install 'megahertz[postgres]'")
        self._dsn, self._timeout = dsn, timeout
        described = columns(type)
        self._values = values(type, described)
        self._create, self._insert = _statements(table, described, key)
        self._connection: Any = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            await connection.close(timeout=self._timeout)

    async def __call__(self, batch: list[T], /) -> None:
        """Stores `batch` by one statement, which is one transaction.

        Raises:
            ConnectError: no connection; nothing was stored.
            ReadError: the answer did not come; whether it was stored is unknown.
            Poisoned: some records break a constraint, or hold what their column cannot.
            RemoteError: the database refused the batch; its schema may differ.
        """
        try:
            connection = await self._connected()
        except Exception as error:
            mapped = _mapped(error)
            if isinstance(mapped, ReadError):
                raise ConnectError(*mapped.args) from error
            raise mapped or error from error
        try:
            await self._write(connection, batch)
        except BaseException as error:
            if _record_fault(error) and (found := await self._poisoned(connection, batch)):
                raise Poisoned(found) from error
            connection.terminate()
            mapped = _mapped(error)
            if mapped is None:
                raise
            raise mapped from error

    async def _poisoned(self, connection: Any, batch: list[T]) -> dict[int, str]:
        """Which records it was: each by itself, and then nothing of it kept."""
        found = {}
        trial = connection.transaction()
        await trial.start()
        for at, record in enumerate(batch):
            try:
                async with connection.transaction():
                    await self._write(connection, [record])
            except Exception as error:
                if not _record_fault(error):
                    connection.terminate()
                    raise _mapped(error) or error from error
                found[at] = str(error)
        await trial.rollback()
        return found

    async def _write(self, connection: Any, batch: list[T]) -> None:
        arrays = [list(column) for column in zip(*map(self._values, batch), strict=True)]
        await connection.execute(self._insert, *arrays, timeout=self._timeout)

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            connection = await asyncpg.connect(self._dsn, timeout=self._timeout)
            try:
                await connection.execute(self._create, timeout=self._timeout)
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return self._connection


def _record_fault(error: BaseException) -> bool:
    """Whether it is about a record's values: classes 22 and 23, or what asyncpg cannot encode."""
    faults = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
    return isinstance(error, faults)


def _mapped(error: BaseException) -> BackendError | None:
    """Our error for asyncpg's, most specific first; None: it is not the database's."""
    if isinstance(error, asyncio.CancelledError):
        return None
    lost = (
        OSError,
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,
        asyncpg.InternalClientError,
    )
    unsure = isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)
    if unsure or isinstance(error, lost):
        return ReadError(f"PostgreSQL: {str(error) or 'timed out'}")
    if isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError)):
        return RemoteError(f"PostgreSQL: {error}")
    return None


def _statements(
    table: str, described: Sequence[Column], key: str | Sequence[str]
) -> tuple[str, str]:
    keys = [key] if isinstance(key, str) else list(key)
    if not keys or set(keys) - {column.name for column in described}:
        raise BadSettings(f"key={key!r}: no such field")
    name, unique = quoted(table), ", ".join(map(quoted, keys))
    names = ", ".join(quoted(column.name) for column in described)
    defined = ", ".join(
        f"{quoted(column.name)} {KINDS[column.kind]}{'' if column.optional else ' NOT NULL'}"
        for column in described
    )
    arrays = ", ".join(f"${at}::{KINDS[each.kind]}[]" for at, each in enumerate(described, 1))
    return (
        f"CREATE TABLE IF NOT EXISTS {name} ({defined}, PRIMARY KEY ({unique}))",
        f"INSERT INTO {name} ({names}) SELECT * FROM unnest({arrays})"
        f" ON CONFLICT ({unique}) DO NOTHING",
    )
