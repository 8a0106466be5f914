"""A run: start it, look at it while it goes, stop it on Ctrl-C, report it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from megahertz.engine import Latencies, LoadRun
from megahertz.errors import BadSettings
from megahertz.load.plan import Plan
from megahertz.load.record import Outcomes
from megahertz.load.report import Report, report

# Nielsen: 0.1 s is felt as at once; a snapshot costs 50 us of a thread's lock.
LOOK_EVERY = 0.1


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
    """

    stage: Literal["warmup", "measuring", "draining", "done"]
    elapsed: float
    measured: float
    answered: int
    failed: int
    latencies: Latencies
    busy: int
    backlog: int


def drive(plan: Plan, progress: Callable[[Progress], None] | None = None) -> Report:
    """Runs a plan to its end; the calling thread only looks on.

    Ctrl-C ends it early: the report covers what was measured and says so.

    Args:
        plan: what to send.
        progress: called every 0.1 s and once at the end.

    Raises:
        BadSettings: the plan cannot be sent.
        ConnectError: the URL's host has no address.
    """
    run = _start(plan)
    interrupted = False
    try:
        _watch(run, progress)
    except KeyboardInterrupt:
        interrupted = True
        run.stop()
        run.wait(plan.timeout * 2)
    outcomes = Outcomes(run.outcomes() if plan.record else b"", plan.first_id)
    return report(plan, run.snapshot(), outcomes, interrupted=interrupted)


def _start(plan: Plan) -> LoadRun:
    host, port = plan.address()
    try:
        return LoadRun(
            host,
            port,
            plan.requests(),
            connections=plan.connections,
            threads=plan.threads,
            rate=plan.rate,
            warmup=plan.warmup,
            duration=plan.duration,
            timeout=plan.timeout,
            record=plan.record,
            first_id=plan.first_id,
            seed=plan.seed,
        )
    except ValueError as error:
        raise BadSettings(str(error)) from error


def _watch(run: LoadRun, progress: Callable[[Progress], None] | None) -> None:
    done = False
    while not done:
        done = run.wait(LOOK_EVERY)
        if progress is not None:
            progress(_progress(run.snapshot()))


def _progress(seen: dict[str, Any]) -> Progress:
    return Progress(
        stage=seen["stage"],
        elapsed=seen["elapsed"],
        measured=seen["measured"],
        answered=seen["answered"],
        failed=sum(count for _, count in seen["failures"]),
        latencies=seen["latencies"],
        busy=seen["busy"],
        backlog=seen["backlog"],
    )
