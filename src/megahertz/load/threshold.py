"""What is expected of a run: `p99<50ms`, `errors<0.1%`, `rate>1000`, `checkout: p99<80ms`."""

import re
from dataclasses import dataclass
from typing import Any

from megahertz.errors import BadSettings
from megahertz.load.part import Part

_FORM = re.compile(
    r"(?:(?P<of>.+?):\s*)?(?P<metric>p\d+(?:\.\d+)?|mean|max|errors|rate)\s*"
    r"(?P<sign><=|>=|<|>)\s*(?P<limit>\d+(?:\.\d+)?)\s*(?P<unit>us|ms|s|%|/s|)"
)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_OTHER = {"errors": {"%": 0.01, "": 1.0}, "rate": {"/s": 1.0, "": 1.0}}
ALLOWED = "[NAME:] then p50, p99, p99.9, mean or max and us, ms or s; errors and %; rate and /s"


@dataclass(frozen=True, slots=True)
class Threshold:
    """One condition.

    Attributes:
        text: as it was written.
        of: the request or the tag that it is about; empty: all.
        metric: `p99`, `p99.9`, `mean`, `max` (seconds), `errors` (a share), `rate` (a second).
        below: the value must be below the limit, or above it.
        strict: the limit itself breaks it.
        limit: in seconds, as a share, or a second.
    """

    text: str
    of: str
    metric: str
    below: bool
    strict: bool
    limit: float


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a threshold; a value of None: there was nothing to measure."""

    threshold: Threshold
    value: float | None
    holds: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"threshold": self.threshold.text, "value": self.value, "holds": self.holds}


def threshold(text: str) -> Threshold:
    """The condition that a text states.

    Raises:
        BadSettings: it states none; says what is allowed.
    """
    match = _FORM.fullmatch(text.strip())
    units = _OTHER.get(match["metric"], _SECONDS) if match else {}
    if match is None or match["unit"] not in units:
        raise BadSettings(f"{text!r}: no threshold; allowed: {ALLOWED}")
    metric, sign = match["metric"], match["sign"]
    if metric.startswith("p") and _quantile(metric) >= 1:
        raise BadSettings(f"{text!r}: a percentile is below 100")
    limit = float(match["limit"]) * units[match["unit"]]
    return Threshold(text, match["of"] or "", metric, sign[0] == "<", len(sign) == 1, limit)


def check(threshold: Threshold, part: Part) -> Checked:
    """Whether a part of a run keeps it; without a single latency no latency is kept."""
    value = _value(threshold.metric, part)
    limit = threshold.limit
    holds = value is not None and (
        (value < limit if threshold.below else value > limit)
        or (not threshold.strict and value == limit)
    )
    return Checked(threshold, value, holds)


def _value(metric: str, part: Part) -> float | None:
    if metric == "errors":
        return part.errors
    if metric == "rate":
        return part.qps
    if not len(part.latencies):
        return None
    if metric.startswith("p"):
        return part.latencies.quantile(_quantile(metric))
    return part.latencies.mean if metric == "mean" else part.latencies.max


def _quantile(metric: str) -> float:
    """`p99` is 0.99; `p999`, as it is written without a point, is 0.999."""
    digits = metric[1:]
    if "." in digits or len(digits) < 3:
        return float(digits) / 100
    return float(f"0.{digits}") if digits.startswith("99") else 1.0
