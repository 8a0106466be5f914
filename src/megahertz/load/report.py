"""What a run has shown: rates, percentiles, statuses, errors; as a table and as JSON.

Rules: a request counts in the window in which it was meant to start. Answers, timeouts and drops
are all in the percentiles, the latter two with the time they waited.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from megahertz.engine import Latencies
from megahertz.load.plan import Plan
from megahertz.load.record import Outcomes

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}

MEANING = {
    "refused": "connection refused",
    "connect_timeout": "no connection within the timeout",
    "connect": "no connection (route, files or ports)",
    "timeout": "no complete answer within the timeout",
    "closed": "closed before the answer was complete",
    "reset": "connection reset",
    "protocol": "the answer is not HTTP/1.1",
    "dropped": "no free connection within the timeout; not sent",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The end of a run.

    Attributes:
        plan: what was asked for.
        seconds: the measured window.
        statuses: answers by status.
        by_kind: answers by template of the mix, then status.
        unexpected: answers with a status that their template does not expect.
        failures: requests without an answer, and failed connects, by reason.
        latencies: in seconds.
        answered: answers of the whole run, warm-up and last answers included.
        connects: connections made.
        received: bytes.
        sent: bytes.
        interrupted: ended by Ctrl-C.
        outcomes: how each request ended; empty unless the plan records.
    """

    plan: Plan
    seconds: float
    statuses: Counter[int]
    by_kind: tuple[Counter[int], ...]
    unexpected: int
    failures: dict[str, int]
    latencies: Latencies
    answered: int
    connects: int
    received: int
    sent: int
    interrupted: bool
    outcomes: Outcomes = field(repr=False)

    @property
    def requests(self) -> int:
        """Answers of the measured window."""
        return self.statuses.total()

    @property
    def failed(self) -> int:
        """Requests without an answer, failed connects and unexpected statuses."""
        return self.unexpected + sum(self.failures.values())

    @property
    def qps(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def ok(self) -> bool:
        """Something was answered and nothing failed."""
        return self.requests > 0 and self.failed == 0

    def latency(self) -> dict[str, float]:
        """Seconds by name of the percentile, with mean and max."""
        at = {name: self.latencies.quantile(q) for name, q in QUANTILES.items()}
        return {"mean": self.latencies.mean, **at, "max": self.latencies.max}

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`; seconds and bytes."""
        return {
            "url": self.plan.url,
            "connections": self.plan.connections,
            "threads": self.plan.threads,
            "rate": self.plan.rate,
            "seconds": self.seconds,
            "requests": self.requests,
            "qps": self.qps,
            "answered": self.answered,
            "latency": self.latency(),
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "unexpected": self.unexpected,
            "failures": self.failures,
            "connects": self.connects,
            "received": self.received,
            "sent": self.sent,
            "interrupted": self.interrupted,
            "ok": self.ok,
        }


def report(plan: Plan, seen: dict[str, Any], outcomes: Outcomes, *, interrupted: bool) -> Report:
    """The report of a run from the last look at it."""
    by_kind: tuple[Counter[int], ...] = tuple(Counter() for _ in plan.mix)
    for kind, status, count in seen["statuses"]:
        by_kind[kind][status] += count
    unexpected = sum(
        count
        for template, counted in zip(plan.mix, by_kind, strict=True)
        for status, count in counted.items()
        if status not in template.expect
    )
    return Report(
        plan=plan,
        seconds=seen["measured"],
        statuses=sum(by_kind, Counter()),
        by_kind=by_kind,
        unexpected=unexpected,
        failures=dict(seen["failures"]),
        latencies=seen["latencies"],
        answered=seen["answered"],
        connects=seen["connects"],
        received=seen["received"],
        sent=seen["sent"],
        interrupted=interrupted,
        outcomes=outcomes,
    )


def duration(seconds: float) -> str:
    """Three digits with the unit that suits: `412 us`, `1.25 ms`, `3.40 s`."""
    for unit, scale in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < scale * 999.5:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def table(report: Report) -> Table:
    """The report for a terminal."""
    plan = report.plan
    loop = f"{plan.rate:,.0f} requests/s" if plan.rate else "each after the previous answer"
    view = Table(
        title=f"{plan.url}  {plan.connections} connections, {loop}, {report.seconds:.1f} s",
        title_justify="left",
        show_header=False,
    )
    view.add_column(style="bold")
    view.add_column(justify="right")
    view.add_column(style="dim")
    view.add_row("requests", f"{report.requests:,}", f"{report.qps:,.0f} /s")
    since = "from the intended start" if plan.rate else "from the send"
    for name, seconds in report.latency().items():
        view.add_row(name.replace("p999", "p99.9"), duration(seconds), since)
        since = ""
    _counts(view, report)
    return view


def _counts(view: Table, report: Report) -> None:
    expected = frozenset[int]().union(*(template.expect for template in report.plan.mix))
    view.add_section()
    for status, count in sorted(report.statuses.items()):
        note = "" if status in expected else "[red]not expected"
        view.add_row(str(status), f"{count:,}", note)
    for name, count in report.failures.items():
        view.add_row(f"[red]{name}", f"{count:,}", MEANING[name])
    view.add_section()
    view.add_row(
        "received", f"{report.received / 1e6:,.1f} MB", f"{report.connects:,} connections made"
    )
