"""Whether a peer can be called, learned from the calls themselves.

Theory: `max_fails` failures within `fail_timeout` seconds take a peer out for as long (nginx's
passive health check). What comes back is believed at its first success; at its first failure it is
out again, for twice as long (Envoy's outlier detection multiplies likewise). Who comes, or comes
back, starts slowly: its share grows to its weight over `slow_start` seconds, for caches and
compilers are cold (Envoy's slow start; nginx's).
"""

from dataclasses import dataclass
from typing import Final

from megahertz.errors import BadSettings

LONGEST: Final = 300.0
"""Seconds that a peer is out at most (Envoy's max_ejection_time: 300 s)."""

LEAST: Final = 0.1
"""Of its weight, with which a peer starts slowly (Envoy's min_weight_percent: 10 %)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """When a peer is out, and how it comes back.

    Attributes:
        max_fails: failures that take it out (nginx's habit is 1, the reports' 2); 0: none do.
        fail_timeout: seconds in which they are counted, and that it is out (the reports: 30 s).
        most_out: the part of the weight that may be out at once; what fails beyond stays in, since
            then it is not the peers that are at fault, or nobody would be left.
        slow_start: seconds in which a peer that comes, or comes back, grows to its weight.

    Raises:
        BadSettings: a number that cannot be.
    """

    max_fails: int = 2
    fail_timeout: float = 30.0
    most_out: float = 0.7
    slow_start: float = 0.0

    def __post_init__(self) -> None:
        if not (
            self.max_fails >= 0
            and self.fail_timeout > 0
            and 0 <= self.most_out <= 1
            and self.slow_start >= 0
        ):
            raise BadSettings(f"{self!r}: above 0, most_out from 0 to 1")


class Condition:
    """How a peer is doing."""

    __slots__ = ("came", "down", "fails", "out_until", "since", "times")

    def __init__(self, came: float | None) -> None:
        self.came = came
        """When it began to grow; None: it is grown."""
        self.fails = 0
        self.since = 0.0
        self.out_until: float | None = None
        self.times = 0
        """How often it was out since its last success."""
        self.down = False
        """Whether it failed its probes: then time alone does not bring it back."""

    def failed(self, health: Health, now: float) -> bool:
        """Counts a failure; whether it is enough to be out."""
        if now - self.since > health.fail_timeout:
            self.fails, self.since = 0, now
        self.fails += 1
        return health.max_fails > 0 and (self.fails >= health.max_fails or self.times > 0)

    def leave(self, health: Health, now: float) -> None:
        """It is out."""
        self.out_until = now + min(health.fail_timeout * 2**self.times, LONGEST)
        self.times += 1
        self.fails = 0

    def back(self, now: float) -> None:
        """Its time is up: it is tried, and grows."""
        self.out_until = None
        self.came = now

    def succeeded(self) -> None:
        """All is forgiven."""
        self.fails = self.times = 0

    def part(self, health: Health, now: float) -> float:
        """Of its weight, what it gets now."""
        if self.down or self.out_until is not None:
            return 0.0
        if self.came is None or health.slow_start == 0:
            return 1.0
        grown = (now - self.came) / health.slow_start
        if grown >= 1:
            self.came = None
            return 1.0
        return max(LEAST, grown)
