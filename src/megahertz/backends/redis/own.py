"""Connections of their own: for who keeps the server waiting, or changes what it thinks of us."""

from typing import Any

from megahertz.backends.redis.address import Address
from megahertz.backends.redis.commands import Convert, Words
from megahertz.backends.redis.connection import Connection, Locate
from megahertz.backends.redis.options import Options
from megahertz.errors import Overloaded

MOST = 100
"""Blocking commands and WATCHes at once, as many as redis-py's pool has connections."""

KEPT = 8
"""Connections that are kept for the next; what is idle costs the server a client each."""


class Own:
    """Those of one client: lent to one user at a time, kept for the next."""

    def __init__(self, address: Address, options: Options, locate: Locate | None = None) -> None:
        self._address, self._options, self._locate = address, options, locate
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    def take(self) -> Connection:
        """Lends one.

        Raises:
            Overloaded: as many as may be are in use.
        """
        if len(self._busy) >= MOST:
            raise Overloaded(f"{self._address}: {MOST} blocking commands wait already")
        connection = self._idle.pop() if self._idle else self._new()
        self._busy.add(connection)
        return connection

    def _new(self) -> Connection:
        connection = Connection(self._address, self._options, patient=True, locate=self._locate)
        connection.open()
        return connection

    def give(self, connection: Connection, *, clean: bool) -> None:
        """Takes it back; one that something may still come through is closed."""
        self._busy.discard(connection)
        if clean and len(self._idle) < KEPT:
            self._idle.append(connection)
        else:
            connection.close()

    async def command(self, words: Words, convert: Convert | None, patience: float) -> Any:
        """One command that may take long; who stops waiting for it ends it."""
        connection, clean = self.take(), False
        try:
            found = await connection.link.command(words, convert, False, patience)
            clean = True
            return found
        finally:
            self.give(connection, clean=clean)

    def close(self) -> None:
        """Closes them all."""
        connections = [*self._idle, *self._busy]
        self._idle.clear()
        self._busy.clear()
        for connection in connections:
            connection.close()

    def statistics(self) -> dict[str, int]:
        """How many there are."""
        return {"own": len(self._idle) + len(self._busy), "own_busy": len(self._busy)}
