"""What a worker says of itself, written into the plane, so that any worker can tell it of all.

Theory: a scrape is answered by one worker, and the others cannot be asked within it. So each of
them writes its figures every second where all can read them; what is counted by the engine (routes,
connections, bytes) is there at once. `rust/plane/src/figure.rs` keeps the counters of workers that
have ended, and forgets their gauges.

It costs one thread, ten timers and looks a second, and one sample (some 50 us).
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import ClassVar

from megahertz.engine import Figure, Plane, memory_limit
from megahertz.observe import process
from megahertz.observe.gil import GilWait
from megahertz.observe.pauses import Pauses
from megahertz.observe.sources import Sums, is_counter, series

BEAT = 0.1
"""Seconds between two beats of the loop."""

SHARE = 0.01
"""Of the loop's time that counting its tasks may take: `all_tasks` of 100,000 is some 30 ms."""

SAMPLE = 1.0
"""Seconds between two samples; scrapers come every 15 to 60."""


class Sampler:
    """Samples while it is entered, on the loop; of several on one plane, the first.

    Args:
        plane: of the worker.
        clock: seconds.
    """

    _sampled: ClassVar[set[int]] = set()

    def __init__(self, plane: Plane, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._plane = plane
        self._clock = clock
        self._figures: dict[str, Figure] = {}
        self._gauges: set[str] = set()
        self._pauses = Pauses()
        self._gil = GilWait()
        self._sums = Sums()
        self._limit = memory_limit()
        self._began = time.time()
        self._late = self._latest = 0.0
        self._beats = 0
        self._tasks, self._count_at = 0, 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self._works = False

    async def __aenter__(self) -> "Sampler":
        self._works = id(self._plane) not in self._sampled
        if self._works:
            self._sampled.add(id(self._plane))
            self._pauses.open()
            self._gil.open()
            self._every(BEAT, self._beat)
            self._every(SAMPLE, lambda late: self.take())
            self.take()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if not self._works:
            return
        self._sampled.discard(id(self._plane))
        for timer in self._timers:
            timer.cancel()
        self._gil.close()
        self._pauses.close()
        self.take()

    def _every(self, seconds: float, call: Callable[[float], object]) -> None:
        loop, place = asyncio.get_running_loop(), len(self._timers)
        due = self._clock() + seconds

        def run() -> None:
            nonlocal due
            try:
                call(self._clock() - due)
            finally:  # what fails is told by the loop, and tried again
                due = self._clock() + seconds
                self._timers[place] = loop.call_later(seconds, run)

        self._timers.append(loop.call_later(seconds, run))

    def _beat(self, late: float) -> None:
        late = max(0.0, late)
        self._beats += 1
        self._late += late
        self._latest = max(self._latest, late)

    def take(self) -> None:
        """Writes a sample, now."""
        told = {**self._sums.take(), **dict(self._own())}
        for name, value in told.items():
            self._figure(name).set(value)
        for gone in self._gauges - told.keys():
            self._figures[gone].clear()
        self._gauges = {name for name in told if not is_counter(name)}

    def _count_tasks(self) -> int:
        began = self._clock()
        if began >= self._count_at:
            self._tasks = len(asyncio.all_tasks())
            ended = self._clock()
            self._count_at = ended + (ended - began) / SHARE
        return self._tasks

    def _figure(self, name: str) -> Figure:
        figure = self._figures.get(name)
        if figure is None:
            figure = self._figures[name] = Figure(self._plane, name, counter=is_counter(name))
        return figure

    def _own(self) -> Iterable[tuple[str, float]]:
        self._pauses.mark()
        gc = self._pauses.statistics()
        yield "loop_lag_seconds", self._latest
        self._latest = 0.0
        yield "loop_late_seconds_total", self._late
        yield "loop_beats_total", self._beats
        yield "tasks", self._count_tasks()
        yield "threads", process.threads()
        yield "resident_memory_bytes", process.memory()
        yield "memory_limit_bytes", self._limit
        yield "open_files", process.open_files()
        yield "max_files", process.most_files()
        yield "cpu_seconds_total", process.cpu()
        if (waited := process.run_delay()) is not None:
            yield "cpu_wait_seconds_total", waited / 1e9
        yield "gc_pause_seconds_total", gc.seconds
        yield "gc_share", gc.share
        for generation, count in enumerate(gc.collections):
            yield series("gc_collections_total", generation=str(generation)), count
        if self._gil.looks:
            yield "gil_wait_seconds_total", self._gil.seconds
            yield "gil_looks_total", self._gil.looks
        yield "start_time_seconds", self._began
