"""What a gate's refusal is called, in Python and to the client."""

import math
import time
from collections.abc import Callable
from typing import Any, Final

from megahertz.engine import RULES, Plane
from megahertz.errors import BreakerOpen, BulkheadFull, Overloaded, RateLimited, Refused
from megahertz.govern.policy import Policy

ORDER: Final = RULES
"""The engine's numbers of the rules, and the order in which it asks them."""

FIGURES: Final = {
    "deadline": ("left", "waited", "takes"),
    "shed": ("waited", "allowed", "running", "limit", "cpu", "class"),
    "limit": ("wait", "remaining"),
    "breaker": ("open", "share", "calls", "failures", "opened"),
    "concurrency": ("running", "limit"),
}
"""What each rule has decided by; seconds, numbers, and shares of 1."""


def refusals(policy: Policy) -> Callable[[int, float | None], Refused]:
    """Makes the error of a rule by its number, with the seconds until another try is worth it."""

    def refused(rule: int, wait: float | None) -> Refused:
        name = ORDER[rule]
        if name == "limit":
            limit = policy.limit
            told = (
                "over the rate" if limit is None else f"at most {limit.rate:g} in {limit.per:g} s"
            )
            return RateLimited(told, retry_after=wait)
        if name == "breaker":
            return BreakerOpen("it failed too often, and rests", retry_after=wait)
        if name == "concurrency":
            return BulkheadFull("as many run already as may", retry_after=wait)
        if name == "shed":
            return Overloaded("there is too much to do", retry_after=wait)
        return Overloaded("it could not be answered in time any more", retry_after=wait)

    return refused


def remembered(plane: Plane) -> list[dict[str, Any]]:
    """The last 4,096 refusals of all workers, the newest first, as plain data; `at` in seconds of
    the wall clock, and figures by their names."""
    started = time.time_ns() - time.monotonic_ns()
    return [
        {
            "at": (started + at) / 1e9,
            "id": name,
            "route": route,
            "rule": ORDER[rule],
            "observed": observed,
            "figures": dict(zip(FIGURES[ORDER[rule]], map(_plain, figures), strict=False)),
        }
        for at, rule, observed, name, route, figures in plane.refusals()
    ]


def _plain(figure: float) -> float | None:
    """JSON has no infinity: None is "as many as may be"."""
    return figure if math.isfinite(figure) else None
