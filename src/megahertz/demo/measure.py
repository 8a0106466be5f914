"""What a phase cost: the client's view from the report, the server's from /proc."""

from dataclasses import dataclass
from typing import Any

from megahertz.load import Progress, Report, usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One phase of one stage.

    Attributes:
        qps: answers a second; of the orders phase, orders made durable a second.
        p50: seconds, and so on.
        failed: requests with no answer or one that nobody expected.
        failures: by reason; unexpected statuses among them.
        answered: answers of the measured window.
        accepted: of these, orders.
        cpu: seconds of server CPU a second: 1.0 is one core.
        cpu_per_request: seconds.
        rss: bytes, at the most.
    """

    qps: float
    p50: float
    p99: float
    p999: float
    failed: int
    failures: dict[str, int]
    answered: int
    accepted: int
    cpu: float
    cpu_per_request: float
    rss: int


class Meter:
    """Looks at the server each time that the generator reports progress."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._first: tuple[float, float, int] | None = None
        self._last: tuple[float, float, int] | None = None
        self._rss = 0

    def look(self, at: Progress) -> None:
        """Takes a sample while the window is open."""
        if at.stage != "measuring":
            return
        used = usage(self._pid)
        self._rss = max(self._rss, used.rss)
        self._last = (at.elapsed, used.cpu, at.answered)
        self._first = self._first or self._last

    def figures(self, report: Report, *, durable_only: bool) -> Figures:
        """The phase's figures."""
        share, each = self._cost()
        latency = report.latency()
        accepted = report.statuses[201]
        counted = accepted if durable_only else report.requests
        return Figures(
            qps=counted / report.seconds if report.seconds else 0.0,
            p50=latency["p50"],
            p99=latency["p99"],
            p999=latency["p999"],
            failed=report.failed,
            failures=_failures(report),
            answered=report.requests,
            accepted=accepted,
            cpu=share,
            cpu_per_request=each,
            rss=self._rss,
        )

    def _cost(self) -> tuple[float, float]:
        if self._first is None or self._last is None or self._first is self._last:
            return 0.0, 0.0
        (since, before, done), (until, after, answered) = self._first, self._last
        spent = after - before
        return spent / (until - since), spent / max(1, answered - done)


def _failures(report: Report) -> dict[str, int]:
    found: dict[str, Any] = dict(report.failures)
    for template, counted in zip(report.plan.mix, report.by_kind, strict=True):
        for status, count in counted.items():
            if status not in template.expect:
                found[str(status)] = found.get(str(status), 0) + count
    return found
