"""Write-behind: a record is acknowledged once it is on the disk, and stored in batches after that.

Theory
    `put` appends to a journal and waits for the sync that covers it. Meanwhile others append: one
    sync, and one wake-up of the loop, serves them all. Durable records go on to the sink by one
    task, in order; what the sink has is marked in the journal, and what it has not is read again
    after a crash. So a record reaches the sink at least once, and a sink that is idempotent by
    key makes that exactly once.

Rules
    1. No acknowledgement before the sync; after a failed sync none ever again (`JournalFailed`).
    2. A full journal or a full disk refuses (`Overloaded`), and tells it before anything is kept.
    3. Nothing is dropped: a sink that fails is called again with the same records, in order. What
       it says it can never store (`Poisoned`) goes to the dead letters, durably and loudly.
    4. A cancelled `put` leaves its record in or out, never twice: its key is remembered.
    5. What is journaled can be read back: a record is decoded before it is appended.

Rejected
    One future for a whole batch: cancelling one waiter would cancel it for all. Reading records
    back from the disk for the sink: they are in memory anyway, bounded by `capacity`.
"""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Self, TypeVar

import msgspec

from megahertz.data.dead import bury
from megahertz.data.drain import Drain
from megahertz.data.window import Entry, Window
from megahertz.engine import Journal
from megahertz.errors import (
    BadSettings,
    Invalid,
    JournalFailed,
    KeyReused,
    MegahertzError,
    Overloaded,
)
from megahertz.observe import series, tells
from megahertz.types import Resource

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counters since the start and gauges of now.

    Attributes:
        pending: records taken in that the sink does not have.
        durable: the highest sequence number on the disk.
        persisted: the highest sequence number that the sink has.
        recovered: records that were pending at the start.
        refused: puts refused because the journal or its disk was full.
        duplicates: puts answered by an earlier record of the same key.
        batches: batches the sink has stored.
        sink_failures: calls of the sink that raised.
        dead: records the sink can never store, moved to the dead letters.
        last_error: of the sink.
        failed: why the journal has stopped; None while it works.
        syncs: of the journal; durable records divided by it is the size of a group.
        bytes: of the pending records on disk.
        segments: files of the journal.
        cut: bytes of a torn tail that were cut at the start.
    """

    pending: int
    durable: int
    persisted: int
    recovered: int
    refused: int
    duplicates: int
    batches: int
    sink_failures: int
    dead: int
    last_error: str | None
    failed: str | None
    syncs: int
    bytes: int
    segments: int
    cut: int


class WriteBehind(Generic[T]):
    """Acknowledges records once they are durable, and persists them after that, each once.

    Args:
        directory: of the journal, for one process at a time; `{worker}` in it becomes the number
            of the worker (MEGAHERTZ_WORKER, 0 where unset).
        sink: stores a batch, and stores a record that comes twice once. One that is an async
            context manager is opened and closed along.
        type: of the records: Struct, dataclass, TypedDict, anything msgspec decodes.
        key: what makes two records the same one.
        capacity: records that may be pending; `Overloaded` above (2**16: 10 MB of orders).
        batch: records of one call of the sink at most (a thread beside a busy loop waits 5 ms each
            time it wants the interpreter; SQLiteSink does so 3 times a batch).
        linger: seconds that a durable record waits for company at most.
        spacing: seconds from one sync to the next while 5 or more records share one; a lone
            record never waits for it (PostgreSQL's commit_delay and commit_siblings).
        window: persisted records whose keys are remembered, here and across a restart.
        capacity_bytes: of pending records on disk; `Overloaded` above.
        segment_bytes: size of one file of the journal (etcd: 64 MB).
        close_timeout: seconds to drain on the way out; the rest waits for the next start.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        sink: Callable[[list[T]], Awaitable[Any]],
        *,
        type: type[T],
        key: Callable[[T], Hashable],
        capacity: int = 65_536,
        batch: int = 2_000,
        linger: float = 0.01,
        spacing: float = 0.002,
        window: int = 65_536,
        capacity_bytes: int = 1 << 30,
        segment_bytes: int = 64 << 20,
        close_timeout: float = 10.0,
    ) -> None:
        for name, value, least in (
            ("capacity", capacity, 1),
            ("batch", batch, 1),
            ("linger", linger, 0),
            ("spacing", spacing, 0),
            ("window", window, 0),
            ("capacity_bytes", capacity_bytes, 1024),
            ("segment_bytes", segment_bytes, 4096),
            ("close_timeout", close_timeout, 0),
        ):
            if not value >= least:
                raise BadSettings(f"WriteBehind({name}={value!r}): must be at least {least}")
        worker = os.environ.get("MEGAHERTZ_WORKER", "0")
        self.directory = os.fspath(directory).replace("{worker}", worker)
        self._sink, self._type, self._key = sink, type, key
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(type).decode
        self._capacity, self._batch, self._linger = capacity, batch, linger
        self._open_journal = partial(
            Journal,
            self.directory,
            records=capacity,
            bytes=capacity_bytes,
            segment_bytes=segment_bytes,
            spacing=spacing,
        )
        self._close_timeout = close_timeout
        self._window: Window[T] = Window(window)
        self._waiting: deque[Entry[T]] = deque()
        self._journal: Journal | None = None
        self._append: Callable[[bytes], int] = _closed
        self._recovered: tuple[T, ...] = ()
        self._refused = self._duplicates = 0
        self._failed: str | None = None
        self._news: asyncio.Future[None] | None = None
        tells(self)

    @property
    def recovered(self) -> tuple[T, ...]:
        """The records that were acknowledged before this start and not known to be persisted.

        The sink may have some of them: an application that rebuilds its state from the database
        and from these counts each key once.
        """
        return self._recovered

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._loop = asyncio.get_running_loop()
            journal, kept, pending = await asyncio.to_thread(self._open)
            stack.push_async_callback(asyncio.to_thread, journal.close)
            self._journal = journal
            if isinstance(self._sink, Resource):
                await stack.enter_async_context(self._sink)
            self._start(kept, pending)
            self._stack = stack.pop_all()
        return self

    def _open(self) -> tuple[Journal, list[tuple[int, bytes]], list[Entry[T]]]:
        """Reads what the journal holds; on a thread, since it waits for the disk."""
        journal = self._open_journal()
        try:
            persisted = journal.statistics()["persisted"]
            kept, pending = [], []
            for sequence, encoded in journal.replay():
                if sequence <= persisted:
                    kept.append((sequence, encoded))
                else:
                    pending.append(self._revived(sequence, encoded))
        except BaseException:
            journal.close()
            raise
        return journal, kept, pending

    def _revived(self, sequence: int, encoded: bytes) -> Entry[T]:
        try:
            record = self._decode(encoded)
        except msgspec.MsgspecError as error:
            raise BadSettings(
                f"record {sequence} in {self.directory} is no {self._type.__name__}: {error};"
                " start the version that wrote it once more, to drain it"
            ) from error
        return Entry(self._key(record), record, encoded=encoded, sequence=sequence)

    def _start(self, kept: list[tuple[int, bytes]], pending: list[Entry[T]]) -> None:
        assert self._journal is not None, "opened by the caller"
        for sequence, encoded in kept:
            try:
                self._window.keep(self._key(self._decode(encoded)), encoded, sequence)
            except msgspec.MsgspecError:
                pass  # of an earlier version of the type, and persisted: only a repeat would ask
        for entry in pending:
            self._window.add(entry)
        self._recovered = tuple(entry.record for entry in pending)
        self._append = self._journal.append
        self._drain = Drain(
            self._sink, self._stored, self._bury, batch=self._batch, linger=self._linger
        )
        self._drain.add(pending)
        self._task = self._loop.create_task(self._drain.run(), name="write-behind")
        self._loop.add_reader(self._journal.fileno(), self._settle)

    async def __aexit__(self, *exc: object) -> None:
        assert self._journal is not None, "entered before"
        self._append = _closed
        try:
            async with asyncio.timeout(self._close_timeout):
                await self.flush()
        except TimeoutError:
            pass
        finally:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._loop.remove_reader(self._journal.fileno())
            await self._stack.aclose()
            self._settle()

    async def flush(self) -> None:
        """Returns once the sink has every record taken in so far; waits while the sink fails."""
        while self._waiting:
            if self._news is None or self._news.done():
                self._news = self._loop.create_future()
            await asyncio.shield(self._news)
        await self._drain.flush()

    async def put(self, record: T) -> None:
        """Returns once `record` is durable; the sink has it later.

        Cancelled, it leaves the record in or out. Called again with the same key and an equal
        record it gives the first call's answer, while that is pending or in the window.

        Raises:
            Overloaded: nothing was kept: too much is pending, or the disk is full.
            KeyReused: the key was used lately, for a different record.
            Invalid: the record is not what `type` says.
            JournalFailed: the disk failed. Whether this record was kept is unknown; none will be
                acknowledged until a restart.
        """
        encoded = self._encode(record)
        try:
            # What the sink gets is what a replay would read, whatever becomes of `record`.
            copy = self._decode(encoded)
        except msgspec.MsgspecError as error:
            raise self._invalid(error) from error
        key = self._key(copy)
        known = self._window.get(key)
        if known is not None:
            return await self._repeat(known, copy, encoded)
        try:
            sequence = self._append(encoded)
        except Overloaded as error:
            self._refused += 1
            raise Overloaded(str(error), retry_after=1.0) from None
        future = self._loop.create_future()
        entry = Entry(key, copy, encoded=encoded, sequence=sequence, future=future)
        self._window.add(entry)
        self._waiting.append(entry)
        await future

    def _invalid(self, error: Exception) -> Invalid:
        name = self._type.__name__
        return Invalid(f"not a valid {name}", [{"where": "record", "rule": str(error)}])

    async def _repeat(self, known: Entry[T] | bytes, record: T, encoded: bytes) -> None:
        entry = known if isinstance(known, Entry) else None
        earlier = known if isinstance(known, bytes) else known.encoded
        # Other bytes may still be an equal record, of an earlier version of its type.
        if earlier != encoded and self._decode(earlier) != record:
            raise KeyReused(f"key {self._key(record)!r} belongs to a different record")
        self._duplicates += 1
        if entry is not None and entry.future is not None:
            future = self._loop.create_future()
            if entry.more is None:
                entry.more = []
            entry.more.append(future)
            await future

    def _settle(self) -> None:
        """The loop's reader callback: one for a whole batch."""
        assert self._journal is not None, "watched only while open"
        for upto, verdict, reason in self._journal.outcomes():
            if verdict == "durable":
                self._durable(upto)
            else:
                self._lost(upto, verdict, reason)
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _durable(self, upto: int) -> None:
        waiting, ready = self._waiting, []
        while waiting and waiting[0].sequence <= upto:
            entry = waiting.popleft()
            future = entry.future
            if entry.more is None and future is not None and not future.done():
                entry.future = None
                future.set_result(None)
            else:
                entry.resolve()
            ready.append(entry)
        self._drain.add(ready)

    def _lost(self, upto: int, verdict: str, reason: str) -> None:
        if verdict == "failed":
            self._failed = reason
        while self._waiting and self._waiting[0].sequence <= upto:
            entry = self._waiting.popleft()
            self._window.discard(entry)
            error: MegahertzError
            if verdict == "failed":
                error = JournalFailed(f"the journal has stopped: {reason}")
            else:
                self._refused += 1
                error = Overloaded(f"the journal's disk refused: {reason}", retry_after=1.0)
            entry.resolve(error)

    def _stored(self, entries: list[Entry[T]]) -> None:
        assert self._journal is not None, "drained only while open"
        for entry in entries:
            self._window.keep(entry.key, entry.encoded, entry.sequence)
        self._journal.persisted(entries[-1].sequence, self._window.released)

    async def _bury(self, entries: list[Entry[T]]) -> None:
        await asyncio.to_thread(bury, self.directory, [entry.encoded for entry in entries])

    def figures(self) -> Iterable[tuple[str, float]]:
        """For `/metrics`."""
        if self._journal is None:
            return
        told, name = self.statistics(), os.path.basename(self.directory)
        yield series("journal_pending", journal=name), told.pending
        yield series("journal_durable_total", journal=name), told.durable
        yield series("journal_persisted_total", journal=name), told.persisted
        yield series("journal_refused_total", journal=name), told.refused
        yield series("journal_failures_total", journal=name), told.sink_failures
        yield series("journal_dead_total", journal=name), told.dead
        yield series("journal_bytes", journal=name), told.bytes

    def statistics(self) -> Statistics:
        """Counters since the start and gauges of now."""
        if self._journal is None:
            raise BadSettings("the write-behind was never opened: use `async with`")
        counted = self._journal.statistics()
        return Statistics(
            pending=counted["records"],
            durable=counted["durable"],
            persisted=counted["persisted"],
            recovered=len(self._recovered),
            refused=self._refused,
            duplicates=self._duplicates,
            batches=self._drain.batches,
            sink_failures=self._drain.failures,
            dead=self._drain.buried,
            last_error=self._drain.last_error,
            failed=self._failed,
            syncs=counted["syncs"],
            bytes=counted["bytes"],
            segments=counted["segments"],
            cut=counted["cut"],
        )


def _closed(_: bytes) -> int:
    raise Overloaded("the write-behind is not open")
