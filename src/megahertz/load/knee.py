"""The knee: the largest rate at which a server keeps its P99.9 and its errors, and what breaks.

The rate is doubled until a bound breaks, then the gap is halved until it is small. Every step is an
open loop, so that a server that falls behind cannot slow its own load down.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from megahertz.errors import BadSettings
from megahertz.load.findings import Bounds, Finding, first, pile_up
from megahertz.load.part import Part
from megahertz.load.plan import Plan
from megahertz.load.report import Report
from megahertz.load.sample import Sample

# Answers that come at this share of the rate keep up with it; what is missing is on its way.
KEPT_UP = 0.95


@dataclass(frozen=True, slots=True)
class Search:
    """How the knee is looked for.

    Attributes:
        start: the first rate; its double is the second.
        most: the last rate that is tried.
        seconds: measured at each rate.
        within: stop when the gap between what holds and what breaks is this share of the rate.
    """

    start: float = 100.0
    most: float = 1_000_000.0
    seconds: float = 3.0
    within: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.start <= self.most or self.seconds <= 0 or not 0 < self.within < 1:
            raise BadSettings(f"{self}: 0 < start <= most, seconds above 0, within from 0 to 1")


@dataclass(frozen=True, slots=True)
class Step:
    """One rate that was tried.

    Attributes:
        rate: asked for, a second.
        total: what came back.
        holds: every bound was kept.
        why: what broke, and where it showed first; None: nothing.
        rule: of tasks and memory, where it was met.
    """

    rate: float
    total: Part
    holds: bool
    why: Finding | None
    rule: Finding | None
    samples: Sequence[Sample] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain data; seconds."""
        return {
            "rate": self.rate,
            "qps": self.total.qps,
            "p999": self.total.latency()["p999"],
            "errors": self.total.errors,
            "holds": self.holds,
            "why": self.why.as_dict() if self.why else None,
            "rule": self.rule.as_dict() if self.rule else None,
        }


@dataclass(frozen=True, slots=True)
class Knee:
    """What was found.

    Attributes:
        rate: the largest that holds; None: not even the first.
        breaks: the smallest that does not; None: none was tried.
        why: what broke first there.
        steps: all rates, in the order tried.
    """

    rate: float | None
    breaks: float | None
    why: Finding | None
    steps: tuple[Step, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "knee": self.rate,
            "breaks": self.breaks,
            "why": self.why.as_dict() if self.why else None,
            "steps": [step.as_dict() for step in self.steps],
            "series": [sample.as_dict() for step in self.steps for sample in step.samples],
        }


def judged(rate: float, report: Report, bounds: Bounds) -> Step:
    """A rate and what it did to the server."""
    total, samples = report.total, report.samples
    late = total.latencies.quantile(0.999)
    slow = total.qps < KEPT_UP * rate
    holds = late <= bounds.p999 and total.errors <= bounds.errors and not slow
    why = None if holds else first(samples, bounds) or _by_the_sum(rate, total, bounds)
    return Step(rate, total, holds, why, pile_up(samples), samples)


def _by_the_sum(rate: float, total: Part, bounds: Bounds) -> Finding:
    """No single sample shows it: the whole step does."""
    if total.errors > bounds.errors:
        return Finding("errors", 0.0, f"{total.errors:.2%} failed")
    late = total.latencies.quantile(0.999)
    if late > bounds.p999:
        return Finding("latency", 0.0, f"P99.9 is {late * 1e3:.1f} ms")
    return Finding("latency", 0.0, f"{total.qps:,.0f} answers/s of {rate:,.0f}")


def search(
    attempt: Callable[[Plan], Report],
    plan: Plan,
    *,
    bounds: Bounds,
    how: Search,
    tell: Callable[[Step], None] = lambda step: None,
) -> Knee:
    """Looks for the knee of a plan's server.

    Args:
        attempt: runs a plan; `drive` with its server.
        plan: what to send; its rate and duration are the search's.
        bounds: what has to hold.
        how: where to begin and when to stop.
        tell: called after each step.
    """
    steps: list[Step] = []
    rates = _rates(how)
    rate = next(rates)
    with suppress(StopIteration):
        while True:
            report = attempt(replace(plan, rate=rate, stages=None, duration=how.seconds))
            steps.append(judged(rate, report, bounds))
            tell(steps[-1])
            if report.interrupted:
                break
            rate = rates.send(steps[-1].holds)
    return _found(steps)


def _rates(how: Search) -> Generator[float, bool, None]:
    """Which rate to try next; is sent whether the last one held."""
    holds, rate = 0.0, how.start
    while (yield rate):
        holds = rate
        if rate >= how.most:
            return
        rate = min(rate * 2, how.most)
    breaks = rate
    if not holds:
        return
    while breaks - holds > how.within * breaks:
        rate = (holds + breaks) / 2
        if (yield rate):
            holds = rate
        else:
            breaks = rate


def _found(steps: list[Step]) -> Knee:
    held = [step.rate for step in steps if step.holds]
    broken = min((step for step in steps if not step.holds), key=lambda s: s.rate, default=None)
    return Knee(
        max(held, default=None),
        broken.rate if broken else None,
        broken.why if broken else None,
        tuple(steps),
    )
