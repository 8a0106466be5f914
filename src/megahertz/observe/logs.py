"""Logs: sampled where they are made, written by a thread of their own.

Theory: what a log costs is the rendering and the write, and the wait for whoever reads. So the
caller only decides (`sampling.py`) and puts a small tuple into a ring (`ring.py`); a thread
(`writer.py`) renders (`lines.py`) and writes.

Rules: no call waits for the thread, but `flush`. What is dropped is counted, and the log says so.
"""

import asyncio
import atexit
import logging
import sys
import time
from collections.abc import Awaitable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import partial
from types import CoroutineType
from typing import Any, ClassVar, Literal

from megahertz.engine import (
    Answer,
    Endpoint,
    Exchange,
    Failed,
    Loudness,
    Route,
    TraceContext,
    TraceSource,
    Unheard,
)
from megahertz.errors import BadSettings
from megahertz.observe.current import CURRENT
from megahertz.observe.in_use import open_telemetry
from megahertz.observe.lines import Record, console_line, json_line
from megahertz.observe.outcome import GONE, Done, ended, refused, status_of
from megahertz.observe.ring import CAPACITY, LEVELS
from megahertz.observe.sampling import Sampling
from megahertz.observe.secrets import Secrets
from megahertz.observe.sources import series, tells
from megahertz.observe.writer import LAST_LINES, LINGER, Writer

Peer = tuple[str, int] | None

clock = time.perf_counter


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """What became of the records that sampling kept.

    Attributes:
        waiting: are to be written.
        put: by level.
        dropped: by level, where the ring was full.
        failed: could not be written (a full disk, a closed pipe).
    """

    waiting: int
    put: dict[str, int]
    dropped: dict[str, int]
    failed: int


class Logs:
    """A layer, and where Python's `logging` and structlog end: `App(layers=[Logs()])`.

    While the application is open, what is logged by `logging` goes here: sampled, bound to the
    request that it is about, secrets hidden, in one line of JSON each.

    Args:
        sampling: what is kept; assign to `sampling` to change it while it runs.
        format: "json", or "console" for people.
        access: a record of each request: ERROR from 500 on, WARNING from 400 on, else INFO.
        fd: the file descriptor that is written to; it stays open.
        capacity: records that may wait.
        secrets: names of values that are hidden, beside the usual ones, by parts of names.

    Raises:
        BadSettings: a format that is none, or a capacity below 1.
    """

    active: ClassVar["Logs | None"] = None
    """The one that is open; the last one opened, if there are several."""

    _opened: ClassVar[list["Logs"]] = []
    _before: ClassVar[int] = logging.WARNING

    def __init__(
        self,
        sampling: Sampling | None = None,
        *,
        format: Literal["json", "console"] = "json",
        access: bool = True,
        fd: int = 2,
        capacity: int = CAPACITY,
        secrets: Iterable[str] = (),
    ) -> None:
        if format not in ("json", "console"):
            raise BadSettings(f"Logs(format={format!r}): json or console")
        if capacity < 1:
            raise BadSettings(f"Logs(capacity={capacity!r}): at least 1")
        self._sampling = sampling or Sampling()
        self._loudness = Loudness(self._sampling.loud)
        self._access = access
        line = json_line if format == "json" else console_line
        hidden = Secrets(secrets)
        self._writer = Writer(lambda record: line(record, hidden), fd, capacity)
        self._source = TraceSource(0.0)
        self._entered = 0
        self.handler = LogsHandler(self)
        tells(self)

    @property
    def sampling(self) -> Sampling:
        """What is kept; a new one is in force from the next record on."""
        return self._sampling

    @sampling.setter
    def sampling(self, value: Sampling) -> None:
        self._sampling = value
        self._loudness.set(value.loud)
        if self._entered:
            logging.getLogger().setLevel(value.least)

    def write(
        self,
        level: int,
        message: str,
        *,
        logger: str = "",
        fields: Mapping[str, Any] | None = None,
        error: BaseException | None = None,
        found: TraceContext | None = None,
    ) -> None:
        """Keeps a record, if sampling does; waits for nothing, but with a critical one for 50 ms.

        Args:
            level: its number in `logging`.
            message: for people.
            logger: the name of who says so.
            fields: further values by name; rendered later, so they should not change.
            error: an exception.
            found: the trace that it is about; that of the request at hand unless given.
        """
        found = CURRENT.get() if found is None else found
        if self._sampling.takes(level, found):
            self._keep(level, message, logger, fields or {}, error, found)

    def _keep(
        self,
        level: int,
        message: str,
        logger: str,
        fields: Mapping[str, Any],
        error: BaseException | None,
        found: TraceContext | None,
    ) -> None:
        span = _span() if found is not None and found.sampled else None
        index = 3 if level >= 40 else 2 if level >= 30 else 1 if level >= 20 else 0
        name = "critical" if level >= 50 else LEVELS[index]
        record = Record(time.time(), name, logger, message, fields, error, found, span)
        self._writer.put(index, record)
        if level >= logging.CRITICAL:
            self.flush(LINGER)  # perhaps there is no later

    def processor(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        """The last processor of structlog: `structlog.configure(processors=[logs.processor])`."""
        from structlog import DropEvent

        fields = dict(event)
        message = str(fields.pop("event", ""))
        name = str(fields.pop("logger", ""))
        error = _exception(fields.pop("exc_info", None) or method == "exception")
        level = "error" if method == "exception" else "warning" if method == "warn" else method
        number = logging.getLevelName(level.upper())
        number = number if isinstance(number, int) else logging.INFO
        self.write(number, message, logger=name, fields=fields, error=error)
        raise DropEvent

    # Around requests.

    def observe(self, route: Route, failed: Failed) -> Endpoint:
        """The route's endpoint with its trace known to records, and a record of its own."""
        inner, bare, begin = route.endpoint, route.bare, self._source.begin
        # By `Tracing` behind us: then the trace is its to choose.
        traced = getattr(inner, "traces", False)
        usual = route.status < 400

        def bound(exchange: Exchange) -> Any:
            if not traced and CURRENT.get() is None:
                begin(CURRENT, exchange, route)
            return inner() if bare else inner(exchange)

        def logged(exchange: Exchange) -> Any:
            began, peer = clock(), None
            found = None if traced else CURRENT.get() or begin(CURRENT, exchange, route)
            quiet = found is not None and found.share >= self._sampling.loud
            if found is not None and not quiet:
                peer = exchange.peer  # at the end of a stream nobody knows it any more
            try:
                value = inner() if bare else inner(exchange)
            except Exception as error:
                return refused(error, exchange, failed, self._ending(exchange, began, peer))
            if type(value) is CoroutineType or hasattr(value, "__await__"):
                return watch(value, exchange, began, peer, quiet)
            self._answered(exchange, began, peer, status_of(exchange, value, route), None, False)
            return value

        async def watch(
            call: Awaitable[Any], exchange: Exchange, began: float, peer: Peer, quiet: bool
        ) -> Any:
            try:
                value = await call
            except BaseException as error:
                return ended(error, exchange, failed, self._ending(exchange, began, peer))
            # Nearly all of them: a good answer of a request that is not kept.
            if quiet and usual and exchange.status is None and not isinstance(value, Answer):
                return value
            self._answered(exchange, began, peer, status_of(exchange, value, route), None, False)
            return value

        return logged if self._access else bound

    def unheard(self, route: Route) -> Unheard:
        """Good answers are kept of a share of requests alone."""
        if not self._access:
            return Unheard(self._source)
        return Unheard(self._source, loudness=self._loudness, ended=self._unquiet)

    def _unquiet(
        self, exchange: Exchange, found: TraceContext, status: int, seconds: float
    ) -> None:
        """Of a request that was to be quiet, and has failed."""
        broken = exchange.status is not None and exchange.status < 400
        level = logging.ERROR if broken else _level(status)
        if self._sampling.takes(level, found):
            status = exchange.status or status
            self._access_record(level, exchange, exchange.peer, status, seconds, broken, found)

    def _ending(self, exchange: Exchange, began: float, peer: Peer) -> Done:
        return partial(self._answered, exchange, began, peer)

    def _answered(
        self,
        exchange: Exchange,
        began: float,
        peer: Peer,
        status: int | None,
        error: BaseException | None,
        broken: bool,
    ) -> None:
        """One record of the access log; of most requests it ends at the first question."""
        found, sampling = CURRENT.get(), self._sampling
        level = logging.INFO if status is not None and status < 400 else _level(status)
        if broken and status != GONE:
            level = logging.ERROR
        if not sampling.takes(level, found):
            return
        broken = broken and not isinstance(error, asyncio.CancelledError)
        peer, seconds = peer or exchange.peer, clock() - began
        self._access_record(level, exchange, peer, status, seconds, broken, found)

    def _access_record(
        self,
        level: int,
        exchange: Exchange,
        peer: Peer,
        status: int | None,
        seconds: float,
        broken: bool,
        found: TraceContext | None,
    ) -> None:
        fields = {
            "method": exchange.method,
            "path": exchange.path,
            "status": status,
            "seconds": round(seconds, 6),
            "client": None if peer is None else peer[0],
        }
        if broken:
            fields["broken"] = True
        self._keep(level, "request", "access", fields, None, found)

    # Open and closed with the application.

    async def __aenter__(self) -> "Logs":
        self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def open(self) -> None:
        """Becomes a handler of the root logger, and begins to write."""
        self._entered += 1
        if self._entered > 1:
            return
        root = logging.getLogger()
        if not Logs._opened:
            Logs._before = root.level
        Logs._opened.append(self)
        Logs.active = self
        root.addHandler(self.handler)
        root.setLevel(self._sampling.least)
        self._writer.open()
        atexit.register(self.flush)

    def close(self) -> None:
        """Writes what waits, for 2 s at most, and leaves the root logger."""
        self._entered -= 1
        if self._entered:
            return
        Logs._opened.remove(self)
        Logs.active = Logs._opened[-1] if Logs._opened else None
        root = logging.getLogger()
        root.removeHandler(self.handler)
        # They may close in any order: the last one leaves what the first has found.
        still = Logs.active
        root.setLevel(Logs._before if still is None else still._sampling.least)
        self._writer.close()
        atexit.unregister(self.flush)

    def flush(self, timeout: float = LAST_LINES) -> bool:
        """Waits for what was logged to be written; whether it was in `timeout` seconds."""
        return self._writer.flush(timeout)

    def figures(self) -> Iterable[tuple[str, float]]:
        """For `/metrics`."""
        told = self.statistics()
        yield "log_ring_records", told.waiting
        yield "log_failed_total", told.failed
        for level in LEVELS:
            yield series("log_records_total", level=level), told.put[level]
            yield series("log_dropped_total", level=level), told.dropped[level]

    def statistics(self) -> LogStatistics:
        """At this moment."""
        ring = self._writer.statistics()
        return LogStatistics(ring.waiting, ring.put, ring.dropped, self._writer.failed)


def _level(status: int | None) -> int:
    if status == GONE:
        return logging.INFO
    return logging.ERROR if status is None or status >= 500 else logging.WARNING


class LogsHandler(logging.Handler):
    """Where `logging` ends."""

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs

    def handle(self, record: logging.LogRecord) -> bool:
        """Without logging's lock: the ring has its own."""
        kept = self.filter(record)
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)  # from 3.12 on
        return bool(kept)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a record, if sampling does."""
        found = CURRENT.get()
        if not self._logs.sampling.takes(record.levelno, found):
            return
        try:
            error = None if not record.exc_info else record.exc_info[1]
            message, name = record.getMessage(), record.name
            self._logs._keep(record.levelno, message, name, _extra(record), error, found)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Writes what waits; `logging.shutdown` calls it."""
        self._logs.flush()


_BARE = len(logging.makeLogRecord({}).__dict__)
_KNOWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    given = record.__dict__
    if len(given) == _BARE:  # what every record has
        return {}
    return {name: value for name, value in given.items() if name not in _KNOWN}


def _exception(given: Any) -> BaseException | None:
    """Of structlog's `exc_info`: an exception, its triple, or True for the one at hand."""
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        found = given[1]
        return found if isinstance(found, BaseException) else None
    return sys.exc_info()[1] if given else None


def _span() -> str | None:
    otel = open_telemetry()
    if otel is None:
        return None
    context = otel.trace.get_current_span().get_span_context()
    return f"{context.span_id:016x}" if context.is_valid else None
