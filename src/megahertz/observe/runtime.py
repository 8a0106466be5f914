"""How the process itself is: the loop, the collector, tasks, threads, memory, files.

Theory: what makes all requests slow at once is seen in none of them. So the process is sampled, a
little every few seconds, and three kinds of trouble are told by name: a turn of the loop that is
too long (`watchdog.py`), a figure above its threshold, and something that only grows (`leaks.py`).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from megahertz.errors import BadSettings
from megahertz.observe import process
from megahertz.observe.leaks import Leak, Leaks
from megahertz.observe.pauses import Pauses, PauseStatistics
from megahertz.observe.sources import series, tells
from megahertz.observe.watchdog import Blocked, Watchdog

log = logging.getLogger("megahertz")

WINDOW = 300.0
"""Seconds between two full collections of the leak detector; one of a million objects is some
0.2 s, so that the 99.9th percentile must not see it every minute."""

SAMPLE = 5.0
"""Seconds between two samples (Prometheus scrapes every 15 to 60)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Above which a figure is told; None: never.

    Attributes:
        tasks: of the loop (the reports: 5,000).
        lag: seconds that the loop was late, at most between two samples.
        gc_share: of the time that the collector takes.
        files: of those that the process may have open, as a share.
        memory: bytes that are resident.
        threads: of the process; Python's own pools stop at 32 or 36.
    """

    tasks: float | None = 5000
    lag: float | None = 0.1
    gc_share: float | None = 0.05
    files: float | None = 0.8
    memory: float | None = None
    threads: float | None = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeStatistics:
    """At the last sample.

    Attributes:
        tasks: of the loop.
        lag: seconds that it was late, at most since the sample before; what it waited for a
            processor is not its own fault and not in it.
        longest_lag: ever.
        blocked: turns that were too long, ever.
        threads: of the process.
        memory: bytes that are resident.
        files: open.
        most_files: that may be.
        gc: pauses of the collector.
        alarms: by figure, how often it went above its threshold.
        leaks: kinds that were told.
    """

    tasks: int = 0
    lag: float = 0.0
    longest_lag: float = 0.0
    blocked: int = 0
    threads: int = 0
    memory: int = 0
    files: int = 0
    most_files: int = 0
    gc: PauseStatistics
    alarms: Mapping[str, int] = field(default_factory=dict)
    leaks: tuple[str, ...] = ()

    def figures(self) -> dict[str, float]:
        """What thresholds are compared with."""
        return {
            "tasks": self.tasks,
            "lag": self.lag,
            "gc_share": self.gc.share,
            "files": self.files / max(1, self.most_files),
            "memory": self.memory,
            "threads": self.threads,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A figure that has gone above its threshold."""

    figure: str
    value: float
    threshold: float


Event = Blocked | Alarm | Leak


class Runtime:
    """A resource: `App(resources=[Runtime()])`.

    What it finds goes to the log, is counted in `statistics()`, and is told to `on_event`.

    Args:
        thresholds: see `Thresholds`.
        slow: seconds of one turn of the loop that are told with their stack; None: not looked at.
        sample: seconds between two samples.
        leaks: seconds of a window in which growth is looked for; None: not looked for. Each ends
            with a full collection.
        on_event: called with each `Blocked` and `Leak` (from threads) and `Alarm`.
        clock: seconds.
        delay: nanoseconds that the loop's thread has waited for a processor.

    Raises:
        BadSettings: a time that is not above 0.
    """

    def __init__(
        self,
        thresholds: Thresholds | None = None,
        *,
        slow: float | None = 0.1,
        sample: float = SAMPLE,
        leaks: float | None = WINDOW,
        on_event: Callable[[Event], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        delay: Callable[[], int | None] = process.run_delay,
    ) -> None:
        if any(value is not None and value <= 0 for value in (slow, sample, leaks)):
            raise BadSettings(f"Runtime(slow={slow}, sample={sample}, leaks={leaks}): above 0")
        self._thresholds = thresholds or Thresholds()
        self._slow, self._sample, self._window = slow, sample, leaks
        self._on_event = on_event
        self._clock = clock
        self._delay = delay
        self._pauses = Pauses()
        self._leaks = Leaks(self._leaking, aside=_in_thread)
        self._watchdog: Watchdog | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._lag = self._longest = 0.0
        self._blocked = 0
        self._above: set[str] = set()
        self._alarms: dict[str, int] = {}
        self._kinds: tuple[str, ...] = ()
        self._last = RuntimeStatistics(gc=self._pauses.statistics())
        tells(self)

    async def __aenter__(self) -> "Runtime":
        self._pauses.open()
        if self._slow is not None:
            self._watchdog = Watchdog(self._blocking, threshold=self._slow)
            self._watchdog.start()
            self._every("beat", self._watchdog.period, self._beat)
        self._every("sample", self._sample, self.take)
        if self._window is not None:
            self._every("leaks", self._window, self._leaks.look)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._watchdog is not None:
            self._watchdog.stop()
        self._leaks.close()
        self._pauses.close()

    def _every(self, name: str, seconds: float, call: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        due, waited = self._clock() + seconds, self._delay() or 0

        def run() -> None:
            nonlocal due, waited
            starved = ((self._delay() or 0) - waited) / 1e9
            self._late(self._clock() - due - starved)
            call()
            due, waited = self._clock() + seconds, self._delay() or 0
            self._timers[name] = loop.call_later(seconds, run)

        self._timers[name] = loop.call_later(seconds, run)

    def _beat(self) -> None:
        if self._watchdog is not None:
            self._watchdog.beat()

    def _late(self, seconds: float) -> None:
        self._lag = max(self._lag, seconds)
        self._longest = max(self._longest, seconds)

    def take(self) -> RuntimeStatistics:
        """A sample, now; thresholds are compared with it."""
        self._pauses.mark()
        self._last = RuntimeStatistics(
            tasks=len(asyncio.all_tasks()),
            lag=self._lag,
            longest_lag=self._longest,
            blocked=self._blocked,
            threads=threading.active_count(),
            memory=process.memory(),
            files=process.open_files(),
            most_files=process.most_files(),
            gc=self._pauses.statistics(),
            alarms=dict(self._alarms),
            leaks=self._kinds,
        )
        self._lag = 0.0
        self._compare(self._last)
        return self._last

    def figures(self) -> Iterable[tuple[str, float]]:
        """For `/metrics`."""
        yield "blocked_total", self._blocked
        for figure, count in self._alarms.items():
            yield series("alarms_total", figure=figure), count
        for kind in set(self._kinds):
            yield series("leaks_total", kind=kind), self._kinds.count(kind)

    def statistics(self) -> RuntimeStatistics:
        """The last sample."""
        return self._last

    def _compare(self, seen: RuntimeStatistics) -> None:
        """Told once, when it goes above; again after it has been below."""
        for figure, value in seen.figures().items():
            threshold = getattr(self._thresholds, figure)
            if threshold is None or value <= threshold:
                self._above.discard(figure)
            elif figure not in self._above:
                self._above.add(figure)
                self._alarms[figure] = self._alarms.get(figure, 0) + 1
                log.warning("%s is %g, above its threshold of %g", figure, value, threshold)
                self._tell(Alarm(figure=figure, value=value, threshold=threshold))

    def _blocking(self, blocked: Blocked) -> None:
        self._blocked += 1
        shown = "\n  ".join(blocked.stack)
        text = "the loop is blocked for %.3f s at %s\n  %s"
        log.warning(text, blocked.seconds, blocked.where, shown)
        self._tell(blocked)

    def _leaking(self, leak: Leak) -> None:
        self._kinds = (*self._kinds, leak.kind)
        counts = ", ".join(f"{count:,}" for count in leak.counts)
        place = leak.where or "a place that is not known"
        log.warning("%s only grow: %s; most of them by %s", leak.kind, counts, place)
        self._tell(leak)

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)


def _in_thread(call: Callable[[], None]) -> None:
    threading.Thread(target=call, name="megahertz-leaks", daemon=True).start()
