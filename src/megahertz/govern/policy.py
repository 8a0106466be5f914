"""What stands between a request and its handler, as one value that routes inherit."""

from dataclasses import dataclass, field
from typing import Literal, Self

from megahertz.errors import BadSettings
from megahertz.govern.limit import Limiter


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules of a route; what is None is taken from the router's, then the application's policy.

    Attributes:
        deadline: seconds from the parsed request to its answer; then the handler is cancelled
            and the client told 504.
        limit: a rate, 429 above. One object counts together wherever it is used.
        breaker: comes with governance.
        shed: comes with governance.
        concurrency: requests that run at once, each route for itself; 503 above.
        priority: comes with governance; "live" is what every route has.

    Raises:
        BadSettings: a number that cannot be, or a rule that this version does not have.
    """

    deadline: float | None = None
    limit: Limiter | None = None
    breaker: object | None = None
    shed: object | None = None
    concurrency: int | None = None
    priority: Literal["live"] = "live"
    inherits: bool = field(default=True, repr=False)

    def __post_init__(self) -> None:
        if self.deadline is not None and not self.deadline > 0:
            raise BadSettings(f"Policy(deadline={self.deadline!r}): more than 0 seconds")
        if self.concurrency is not None and self.concurrency < 1:
            raise BadSettings(f"Policy(concurrency={self.concurrency!r}): at least 1")
        if self.limit is not None and not isinstance(self.limit, Limiter):
            raise BadSettings(f"Policy(limit={self.limit!r}): a limiter (GCRA, ...)")
        for name in ("breaker", "shed"):
            if getattr(self, name) is not None:
                raise BadSettings(f"Policy({name}=): comes with governance; leave it out")
        if self.priority != "live":
            raise BadSettings(f"Policy(priority={self.priority!r}): comes with governance")

    @classmethod
    def off(cls) -> Self:
        """No rule at all, whatever the application's policy says."""
        return cls(inherits=False)

    def over(self, default: "Policy") -> "Policy":
        """These rules, and those of `default` where these are silent."""
        if not self.inherits:
            return self
        return Policy(
            deadline=default.deadline if self.deadline is None else self.deadline,
            limit=default.limit if self.limit is None else self.limit,
            concurrency=default.concurrency if self.concurrency is None else self.concurrency,
            inherits=default.inherits,
        )

    def check(self, workers: int) -> None:
        """Refuses what would be wrong with this many worker processes.

        Raises:
            BadSettings: a limit of the machine, which the workers cannot count together yet.
        """
        if workers > 1 and self.limit is not None and self.limit.scope == "machine":
            raise BadSettings(
                f"{self.limit!r}: {workers} workers cannot count together before the shared "
                f'segment comes with governance; say scope="worker" with the rate of one worker '
                f"({self.limit.rate / workers:g}), or run one worker"
            )
