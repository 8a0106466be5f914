"""What a run has shown, and as JSON.

Rules: a request counts in the window in which it was meant to start. Answers, timeouts and drops
are all in the percentiles, the latter two with the time they waited.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from megahertz.engine import Latencies
from megahertz.load.colour import UNTAGGED
from megahertz.load.part import Part, grouped, total
from megahertz.load.plan import Plan
from megahertz.load.record import Outcomes
from megahertz.load.sample import Sample
from megahertz.load.threshold import Checked, Threshold, check

MEANING = {
    "refused": "connection refused",
    "connect_timeout": "no connection within the timeout",
    "connect": "no connection (route, files or ports)",
    "tls": "no TLS handshake",
    "timeout": "no complete answer within the timeout",
    "closed": "closed without a complete answer",
    "reset": "connection or stream reset",
    "protocol": "the answer is not HTTP of the version asked for",
    "dropped": "no free connection within the timeout; not sent",
}

# Where its threads work this much of the time, the generator's own queue is in the latencies.
SATURATED = 0.9

# The quantiles of the plot by percentiles: evenly spaced in the number of nines.
_CURVE = tuple(1 - 10 ** -(step / 10) for step in range(51))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The end of a run.

    Attributes:
        plan: what was asked for.
        seconds: the measured window.
        parts: by template of the mix.
        total: all of them, and the connections that were not made.
        troubles: the first that was seen of each failure.
        answered: answers of the whole run, warm-up and last answers included.
        connects: connections made.
        received: bytes.
        sent: bytes.
        generator: share of the time that the generator's threads worked.
        interrupted: ended by Ctrl-C.
        outcomes: how each request ended; empty unless the plan records.
        samples: every 0.2 s.
        thresholds: what was expected of it.
    """

    plan: Plan
    seconds: float
    parts: tuple[Part, ...]
    total: Part
    troubles: Mapping[str, str]
    answered: int
    connects: int
    received: int
    sent: int
    generator: float
    interrupted: bool
    outcomes: Outcomes = field(repr=False)
    samples: Sequence[Sample] = field(repr=False)
    thresholds: tuple[Threshold, ...] = ()

    @property
    def statuses(self) -> Counter[int]:
        """Answers by status."""
        return self.total.statuses

    @property
    def by_kind(self) -> tuple[Counter[int], ...]:
        """Answers by template of the mix, then status."""
        return tuple(part.statuses for part in self.parts)

    @property
    def unexpected(self) -> int:
        """Answers with a status that their template does not expect."""
        return self.total.unexpected

    @property
    def failures(self) -> dict[str, int]:
        """Requests without an answer, and failed connects, by reason."""
        return dict(self.total.failures)

    @property
    def latencies(self) -> Latencies:
        """In seconds."""
        return self.total.latencies

    @property
    def requests(self) -> int:
        """Answers of the measured window."""
        return self.total.requests

    @property
    def failed(self) -> int:
        """Requests without an answer, failed connects and unexpected statuses."""
        return self.total.failed

    @property
    def qps(self) -> float:
        """Answers a second."""
        return self.total.qps

    @property
    def saturated(self) -> bool:
        """The generator was as busy as it can be: there may be more in the server."""
        return self.generator > SATURATED

    @property
    def ok(self) -> bool:
        """Something was answered and what was expected holds.

        Where no threshold speaks of errors no error is expected at all.
        """
        holds = all(checked.holds for checked in self.checked())
        return self.requests > 0 and holds and self._unspoken() == 0

    def _unspoken(self) -> int:
        """The failed that no threshold on errors speaks of."""
        spoken = {each.of for each in self.thresholds if each.metric == "errors"}
        if "" in spoken:
            return 0
        pairs = zip(self.plan.mix, self.parts, strict=True)
        return self.failed - sum(
            part.failed for template, part in pairs if spoken & {template.title, template.tag}
        )

    def by_name(self) -> Mapping[str, Part]:
        """Sums of the templates that share a name."""
        return grouped((template.title for template in self.plan.mix), self.parts)

    def by_tag(self) -> Mapping[str, Part]:
        """Sums of the templates that share a tag; empty for traffic without colour.

        With `unconnected`, the connections that were not made, they add up to the total.
        """
        if not self.plan.coloured:
            return {}
        return grouped((template.tag or UNTAGGED for template in self.plan.mix), self.parts)

    def checked(self) -> tuple[Checked, ...]:
        """What became of each threshold."""
        parts = {**self.by_name(), **self.by_tag()}
        return tuple(
            check(threshold, parts.get(threshold.of, self.total)) for threshold in self.thresholds
        )

    def latency(self) -> dict[str, float]:
        """Seconds by name of the percentile, with mean and max."""
        return self.total.latency()

    def curve(self) -> list[tuple[float, float]]:
        """Quantiles and seconds, as far as there are requests to tell them."""
        n = len(self.latencies)
        return [(q, self.latencies.quantile(q)) for q in _CURVE if n * (1 - q) >= 1]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`; seconds and bytes."""
        plan = self.plan
        return {
            "url": plan.url,
            "connections": plan.connections,
            "threads": plan.threads,
            "rate": plan.rate,
            "stages": [str(stage) for stage in plan.stages.parts] if plan.stages else None,
            "open_loop": plan.is_open,
            "http2": plan.http2,
            "lanes": plan.lanes,
            "keepalive": plan.keepalive,
            "think": str(plan.think) if plan.think else None,
            "seconds": self.seconds,
            "answered": self.answered,
            **self.total.as_dict(),
            "names": {name: part.as_dict() for name, part in self.by_name().items()},
            "tags": {name: part.as_dict() for name, part in self.by_tag().items()},
            "troubles": dict(self.troubles),
            "connects": self.connects,
            "received": self.received,
            "sent": self.sent,
            "generator": self.generator,
            "curve": self.curve(),
            "series": [sample.as_dict() for sample in self.samples],
            "thresholds": [checked.as_dict() for checked in self.checked()],
            "interrupted": self.interrupted,
            "ok": self.ok,
        }


def report(
    plan: Plan,
    seen: dict[str, Any],
    outcomes: Outcomes,
    *,
    interrupted: bool,
    samples: Sequence[Sample] = (),
    thresholds: tuple[Threshold, ...] = (),
) -> Report:
    """The report of a run from the last look at it."""
    parts = _parts(plan, seen)
    unconnected = Counter({name: n for kind, name, n in seen["failures"] if kind is None})
    whole = total("total", seen["measured"], [*parts, Part("", 0.0, failures=unconnected)])
    busy = seen["elapsed"] * plan.senders
    return Report(
        plan=plan,
        seconds=seen["measured"],
        parts=parts,
        total=whole,
        troubles=dict(seen["troubles"]),
        answered=seen["answered"],
        connects=seen["connects"],
        received=seen["received"],
        sent=seen["sent"],
        generator=seen["cpu"] / busy if busy else 0.0,
        interrupted=interrupted,
        outcomes=outcomes,
        samples=samples,
        thresholds=thresholds,
    )


def _parts(plan: Plan, seen: dict[str, Any]) -> tuple[Part, ...]:
    answers: list[Counter[int]] = [Counter() for _ in plan.mix]
    failures: list[Counter[str]] = [Counter() for _ in plan.mix]
    for kind, status, count in seen["statuses"]:
        answers[kind][status] += count
    for kind, name, count in seen["failures"]:
        if kind is not None:
            failures[kind][name] += count
    return tuple(
        Part(
            template.title,
            seen["measured"],
            counted,
            sum(n for status, n in counted.items() if status not in template.expect),
            lost,
            latencies,
            successes,
        )
        for template, counted, lost, latencies, successes in zip(
            plan.mix, answers, failures, seen["latencies"], seen["successes"], strict=True
        )
    )
