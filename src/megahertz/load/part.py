"""A part of what a run has shown: all of it, one kind of requests, or one tag."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from megahertz.engine import Latencies

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


@dataclass(frozen=True, slots=True)
class Part:
    """Requests of the measured window.

    Attributes:
        name: of the request or the tag.
        seconds: of the measured window.
        statuses: answers by status.
        unexpected: answers with a status that their template does not expect.
        failures: requests without an answer, by reason.
        latencies: in seconds; answers, timeouts and drops.
        successes: in seconds; answers below 400: a refusal is quick.
    """

    name: str
    seconds: float
    statuses: Counter[int] = field(default_factory=Counter)
    unexpected: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    successes: Latencies = field(default_factory=Latencies)

    @property
    def requests(self) -> int:
        """Answers."""
        return self.statuses.total()

    @property
    def failed(self) -> int:
        """Requests without an answer, and unexpected statuses."""
        return self.unexpected + self.failures.total()

    @property
    def errors(self) -> float:
        """The failed as a share of all that ended; 0 where nothing did."""
        return self.failed / max(1, self.requests + self.failures.total())

    @property
    def qps(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    def latency(self) -> dict[str, float]:
        """Seconds by name of the percentile, with mean and max."""
        return _told(self.latencies)

    def as_dict(self) -> dict[str, Any]:
        """Plain data; seconds."""
        return {
            "requests": self.requests,
            "qps": self.qps,
            "latency": self.latency(),
            "successes": _told(self.successes),
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "unexpected": self.unexpected,
            "failures": dict(self.failures),
        }


def _told(latencies: Latencies) -> dict[str, float]:
    at = {name: latencies.quantile(q) for name, q in QUANTILES.items()}
    return {"mean": latencies.mean, **at, "max": latencies.max}


def total(name: str, seconds: float, parts: Iterable[Part]) -> Part:
    """The sum of parts."""
    whole = Part(name, seconds)
    unexpected = 0
    for part in parts:
        whole.statuses.update(part.statuses)
        whole.failures.update(part.failures)
        whole.latencies.add(part.latencies)
        whole.successes.add(part.successes)
        unexpected += part.unexpected
    return replace(whole, unexpected=unexpected)


def grouped(names: Iterable[str], parts: Iterable[Part]) -> Mapping[str, Part]:
    """Sums of parts that share a name, in the order of their first."""
    groups: dict[str, list[Part]] = {}
    seconds = 0.0
    for name, part in zip(names, parts, strict=True):
        groups.setdefault(name, []).append(part)
        seconds = part.seconds
    return {name: total(name, seconds, members) for name, members in groups.items()}
