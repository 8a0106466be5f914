"""A run: start it, look at it while it goes, stop it on Ctrl-C, report it."""

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from megahertz.engine import Latencies, LoadRun
from megahertz.errors import BadSettings
from megahertz.load.plan import Plan
from megahertz.load.record import Outcomes
from megahertz.load.report import Report, report
from megahertz.load.sample import EVERY, Sample, Series
from megahertz.load.server import Server
from megahertz.load.threshold import Threshold


@dataclass(frozen=True, slots=True)
class Progress:
    """A look at a run under way.

    Attributes:
        stage: where it is.
        elapsed: seconds since its start.
        measured: seconds of the measured window that have passed.
        answered: answers since its start.
        failed: requests of the window without an answer.
        latencies: of the window, so far.
        busy: requests waiting for their answer.
        backlog: requests due and not sent (open loop).
        sample: the interval since the last look.
    """

    stage: Literal["warmup", "measuring", "draining", "done"]
    elapsed: float
    measured: float
    answered: int
    failed: int
    latencies: Latencies
    busy: int
    backlog: int
    sample: Sample | None = None


def drive(
    plan: Plan,
    progress: Callable[[Progress], None] | None = None,
    *,
    server: Server | None = None,
    thresholds: Sequence[Threshold] = (),
) -> Report:
    """Runs a plan to its end; the calling thread only looks on.

    Ctrl-C ends it early: the report covers what was measured and says so. A second one does not
    wait for the answers under way.

    Args:
        plan: what to send.
        progress: called every 0.2 s and once at the end.
        server: whose memory, processor and tasks are sampled beside the rate.
        thresholds: what the report is judged by.

    Raises:
        BadSettings: the plan cannot be sent, or has no such request or tag as a threshold names.
        ConnectError: the URL's host has no address.
    """
    _refuse_unknown(plan, thresholds)
    server = server or Server()
    series = Series(plan.senders, [template.expect for template in plan.mix])
    with server:
        run = _start(plan)
        with _Interrupt(run) as interrupt:
            try:
                _watch(run, progress, series, server)
            except KeyboardInterrupt:
                if not interrupt.came:
                    interrupt.end()
                    run.wait(plan.timeout * 2)
    return report(
        plan,
        run.snapshot(),
        Outcomes(run.outcomes() if plan.record else b"", plan.first_id),
        interrupted=interrupt.came,
        samples=series.samples,
        thresholds=tuple(thresholds),
    )


class _Interrupt:
    """Ends a run on SIGINT, by a handler of its own: a KeyboardInterrupt that meets a destructor
    is lost to Python, and then the run goes on. Threads but the main one get none.
    """

    def __init__(self, run: LoadRun) -> None:
        self._run = run
        self._before: Any = None
        self.came = False

    def __enter__(self) -> "_Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._come)
        return self

    def _come(self, *_: object) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.end()

    def end(self) -> None:
        """Answers under way are waited for."""
        self.came = True
        self._run.stop()

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


def _refuse_unknown(plan: Plan, thresholds: Sequence[Threshold]) -> None:
    known = {"", *plan.names()}
    for threshold in thresholds:
        if threshold.of not in known:
            there = ", ".join(plan.names())
            raise BadSettings(f"{threshold.text!r}: no such request or tag; there are {there}")


def _start(plan: Plan) -> LoadRun:
    host, port = plan.address()
    try:
        return LoadRun(host, port, plan.requests(), **plan.options())
    except ValueError as error:
        raise BadSettings(str(error)) from error


def _watch(
    run: LoadRun, progress: Callable[[Progress], None] | None, series: Series, server: Server
) -> None:
    done = False
    while not done:
        done = run.wait(EVERY)
        seen = run.snapshot()
        sample = series.look(seen, server.look())
        if progress is not None:
            progress(_progress(seen, sample))


def _progress(seen: dict[str, Any], sample: Sample | None) -> Progress:
    latencies = Latencies()
    for kind in seen["latencies"]:
        latencies.add(kind)
    return Progress(
        stage=seen["stage"],
        elapsed=seen["elapsed"],
        measured=seen["measured"],
        answered=seen["answered"],
        failed=sum(count for _, _, count in seen["failures"]),
        latencies=latencies,
        busy=seen["busy"],
        backlog=seen["backlog"],
        sample=sample,
    )
