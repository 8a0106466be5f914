"""The thread that writes a log: what others have put into a ring, rendered.

Rules: it sleeps while there is nothing, gathers for `LINGER` once there is, and gives the
interpreter back between pieces, so that the loop never waits long for it. Nobody waits for it but
who flushes. What was dropped on the way is told in the log itself.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable

from megahertz.observe.lines import Record
from megahertz.observe.ring import LEVELS, Ring, RingStatistics

LINGER = 0.05
"""Seconds that records may wait to be written together."""

PIECE = 64
"""Records that are rendered before the loop may have the interpreter: about 0.2 ms."""

LAST_LINES = 2.0
"""Seconds at the end for what still waits; a reader that takes nothing must not hold the stop."""


class Writer:
    """Writes while it is open.

    Args:
        render: makes a line.
        fd: the file descriptor that is written to; it stays open.
        capacity: records that may wait.

    Attributes:
        failed: records that could not be written (a full disk, a closed pipe).
    """

    def __init__(self, render: Callable[[Record], bytes], fd: int, capacity: int) -> None:
        self._render = render
        self._fd = fd
        self._ring: Ring[Record] = Ring(capacity)
        self.failed = 0
        self._told: dict[str, int] = dict.fromkeys(LEVELS, 0)
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._asked: deque[threading.Event] = deque()
        self._writing = threading.Lock()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def put(self, level: int, record: Record) -> None:
        """Takes a record of a level from 0 to 3; never waits."""
        if self._ring.put(level, record):
            self._wake.set()

    def statistics(self) -> RingStatistics:
        """At this moment."""
        return self._ring.statistics()

    def open(self) -> None:
        """Begins to write."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="megahertz-logs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Writes what waits, for 2 s at most."""
        self._stopping = True
        self._hurry.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(LAST_LINES)

    def flush(self, timeout: float = LAST_LINES) -> bool:
        """Waits for what was put to be written; whether it was in `timeout` seconds."""
        if self._thread is None or not self._thread.is_alive():
            self._drain()
            return True
        done = threading.Event()
        self._asked.append(done)
        self._hurry.set()
        self._wake.set()
        return done.wait(timeout)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait()
            self._hurry.wait(LINGER)
            self._hurry.clear()
            self._wake.clear()
            self._turn()
        self._turn()  # what came while the last one ended

    def _turn(self) -> None:
        asked = [self._asked.popleft() for _ in range(len(self._asked))]
        self._drain()
        for done in asked:
            done.set()

    def _drain(self) -> None:
        with self._writing:
            while records := self._ring.take(PIECE):
                self._write(records)
                time.sleep(0)  # the loop may want the interpreter
            self._confess()

    def _write(self, records: list[Record]) -> None:
        lines = b"".join(self._rendered(record) for record in records)
        try:
            while lines:
                lines = lines[os.write(self._fd, lines) :]
        except OSError:
            self.failed += len(records)

    def _rendered(self, record: Record) -> bytes:
        try:
            return self._render(record)
        except Exception as error:  # of a user's object: the record is lost, the thread is not
            text = f"a record of {record.logger!r} could not be written: {error!r}"
            return self._render(Record(record.time, "error", "megahertz", text))

    def _confess(self) -> None:
        """A record of what was dropped since the last one."""
        dropped = self._ring.statistics().dropped
        fresh = {level: dropped[level] - self._told[level] for level in LEVELS}
        if any(fresh.values()):
            self._told = dropped
            fields = {level: count for level, count in fresh.items() if count}
            text = "log records dropped: they come faster than they are read"
            self._write([Record(time.time(), "warning", "megahertz", text, fields)])
