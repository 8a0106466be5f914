"""What stands between a request and its handler, as one value that routes inherit."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, Self, get_args

from megahertz.context import BUDGET_HEADER
from megahertz.errors import BadSettings
from megahertz.govern.breaker import Breaker
from megahertz.govern.limit import Limiter
from megahertz.govern.shed import Shed

Mode = Literal["on", "observe", "off"]
Priority = Literal["live", "batch", "test"]

RULES: Final = ("shed", "limit", "breaker", "concurrency")
"""Those that have a mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules of a route; what is None is taken from the router's, then the application's policy.

    They are asked in this order, in the engine, before any code of the handler's runs.

    Attributes:
        deadline: seconds from the parsed request to its answer; then the handler is cancelled
            and the client told 504. Who cannot be answered in time any more is told 503 at once.
        budget: the field by which callers say how many milliseconds they will wait; the deadline
            is the less of both. Named, it counts on routes without any other rule, too; "" looks
            at none.
        shed: refuses by load, 503.
        limit: a rate, 429 above. One object counts together wherever it is used.
        breaker: after failures (answers of 500 and above, deadlines) the handler rests: 503, or
            what the breaker's fallback answers.
        concurrency: requests that run at once in all workers, each route for itself; 503 above.
            Of a WebSocket route: sockets of a worker.
        priority: "live", or "batch" and "test", which give way where a `shed` is on.
        mode: "on", "observe" (counts and remembers what it would have refused) or "off", for all
            of `shed`, `limit`, `breaker` and `concurrency` or by name.

    Raises:
        BadSettings: a number that cannot be, or a rule or mode that is not known.
    """

    deadline: float | None = None
    budget: str | None = None
    shed: Shed | None = None
    limit: Limiter | None = None
    breaker: Breaker | None = None
    concurrency: int | None = None
    priority: Priority | None = None
    mode: Mode | Mapping[str, Mode] | None = None
    inherits: bool = field(default=True, repr=False)

    def __post_init__(self) -> None:
        if self.deadline is not None and not self.deadline > 0:
            raise BadSettings(f"Policy(deadline={self.deadline!r}): more than 0 seconds")
        if self.concurrency is not None and self.concurrency < 1:
            raise BadSettings(f"Policy(concurrency={self.concurrency!r}): at least 1")
        for name, kind in (("limit", Limiter), ("breaker", Breaker), ("shed", Shed)):
            rule = getattr(self, name)
            if rule is not None and not isinstance(rule, kind):
                raise BadSettings(f"Policy({name}={rule!r}): a {kind.__name__}")
        if self.priority not in (None, *get_args(Priority)):
            raise BadSettings(f"Policy(priority={self.priority!r}): live, batch or test")
        modes = self._modes()
        if not set(modes) <= set(RULES) or not set(modes.values()) <= set(get_args(Mode)):
            raise BadSettings(f"Policy(mode={self.mode!r}): on, observe or off, of {RULES}")

    @classmethod
    def off(cls) -> Self:
        """No rule at all, whatever the application's policy says."""
        return cls(inherits=False)

    def over(self, default: "Policy") -> "Policy":
        """These rules, and those of `default` where these are silent."""
        if not self.inherits:
            return self
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        said = {name: value for name, value in own.items() if value is not None}
        said |= {"mode": default._modes() | self._modes(), "inherits": default.inherits}
        return replace(default, **said)

    @property
    def is_empty(self) -> bool:
        """Whether there is no rule; a budget that is named is one, also without a deadline."""
        timed = self.deadline is not None or bool(self.budget)
        return not timed and all(self.rule(name) is None for name in RULES)

    def rule(self, name: str) -> Any:
        """One of `RULES`; None where it is off."""
        return None if self._modes().get(name) == "off" else getattr(self, name)

    @property
    def observed(self) -> list[str]:
        """The rules that only count."""
        return [name for name, mode in self._modes().items() if mode == "observe"]

    @property
    def told(self) -> str | None:
        """The field that may shorten the deadline; None without one, or where it is told off."""
        return (BUDGET_HEADER if self.budget is None else self.budget) or None

    def _modes(self) -> dict[str, Mode]:
        if self.mode is None:
            return {}
        if isinstance(self.mode, str):
            return dict.fromkeys(RULES, self.mode)
        return dict(self.mode)
