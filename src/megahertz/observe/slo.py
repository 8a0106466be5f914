"""Objectives of routes, and the rules for Prometheus that watch them.

Theory (Google, "The Site Reliability Workbook", chapter 5, "Alerting on SLOs", method 6): an
objective of 99.9 % leaves a budget of 0.1 % bad requests for its window. What matters is how fast
it burns: 14.4 times as fast as it may is 2 % of a month's budget in an hour, and somebody is to be
waked; at its own pace for three days it is a ticket. Each alert asks two windows: the long one so
that a blip does not fire it, one a twelfth of it so that it ends when the trouble does.

    budget burnt   in     and in   factor over 30 days   severity
    2 %            1 h    5 min    14.4                  page
    5 %            6 h    30 min   6                     page
    10 %           1 d    2 h      3                     ticket
    10 %           3 d    6 h      1                     ticket

Sloth (sloth.dev) and Pyrra (pyrra.dev) generate the same from files of their own; here the
objective stands beside the route, and the latency is one that the engine counts at.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from megahertz.errors import BadSettings

DAY = 86_400.0

WINDOW = 30 * DAY
"""Of an objective, in seconds (the Workbook: four weeks; Sloth and Pyrra: 30 days)."""

BURNS = (
    (0.02, "1h", "5m", "page"),
    (0.05, "6h", "30m", "page"),
    (0.10, "1d", "2h", "ticket"),
    (0.10, "3d", "6h", "ticket"),
)
"""Share of the budget, long window, short window, severity: the Workbook's table 5-8."""

SPANS = {
    "5m": 300.0,
    "30m": 1800.0,
    "1h": 3600.0,
    "2h": 7200.0,
    "6h": 21_600.0,
    "1d": DAY,
    "3d": 3 * DAY,
}
"""Windows in seconds."""

LONG = ("1d", "3d")
SHORT = tuple(window for window in SPANS if window not in LONG)

OWN_FAULT = 'rule!="limit"'
"""Refusals that are ours: who asks too often (429) has not used up our budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SLO:
    """How well a route is to be answered: `@app.get("/", slo=SLO(availability=0.999))`.

    Attributes:
        availability: the share of requests that are not to end in 500 or above, nor be refused by
            a rule other than the rate limit; who left before the answer does not count.
        latency: seconds within which `within` of the requests are to be answered.
        within: a share.
        window: seconds that both hold over.

    Raises:
        BadSettings: neither, a share that is not between 0 and 1, or a time that is not above 0.
    """

    availability: float | None = None
    latency: float | None = None
    within: float = 0.99
    window: float = WINDOW

    def __post_init__(self) -> None:
        if self.availability is None and self.latency is None:
            raise BadSettings("SLO(): say availability=0.999, or latency=0.2, or both")
        for name, share in (("availability", self.availability), ("within", self.within)):
            if share is not None and not 0 < share < 1:
                raise BadSettings(f"SLO({name}={share!r}): a share between 0 and 1")
        if (self.latency is not None and self.latency <= 0) or self.window < 3 * DAY:
            raise BadSettings(f"{self!r}: a latency above 0, a window of at least three days")


@dataclass(frozen=True, slots=True)
class Objective:
    """A route's."""

    method: str
    route: str
    slo: SLO


def slo_rules(objectives: Iterable[Objective]) -> str:
    """A file for `rule_files` of Prometheus: recordings and alerts, in YAML."""
    lines = [
        "# Made by `mhz slo`; objectives are changed where the routes are declared.",
        "groups:",
    ]
    none = True
    for objective in objectives:
        for kind in _kinds(objective):
            none = False
            lines += kind.lines()
    return "\n".join([*lines, ""]) if not none else "groups: []\n"


@dataclass(frozen=True, slots=True)
class _Kind:
    """One objective: the share of all requests that is to be good, and how both are counted."""

    objective: Objective
    name: str
    target: float
    told: str
    good: str
    all: str

    def lines(self) -> Iterator[str]:
        name = f"slo {self.name} of {self.objective.method} {self.objective.route}"
        yield from _group(name)
        for window in SHORT:
            yield from self._record(f"slo:error_ratio:rate{window}", self._ratio(window))
        for burn in BURNS:
            yield from self._alert(*burn)
        # What days make up changes little in minutes, and reads a million samples.
        yield from _group(f"{name}, over days", interval="5m")
        for window in LONG:
            yield from self._record(f"slo:error_ratio:rate{window}", self._ratio(window))
        yield from self._record("slo:objective:ratio", f"vector({_number(self.target)})")
        yield from self._record("slo:budget_left:ratio", self._left())

    def _ratio(self, window: str) -> str:
        good, every = (f"sum by (job) ({rates})" for rates in (self.good, self.all))
        return f"1 - {good} / {every}".replace("WINDOW", window)

    def _left(self) -> str:
        days = f"{self.objective.slo.window / DAY:g}d"
        return f"1 - ({self._ratio(days)}) / {_number(1 - self.target)}"

    def _record(self, name: str, expression: str) -> Iterator[str]:
        yield f"      - record: {name}"
        yield f"        expr: {_quoted(expression)}"
        yield from self._labels("")

    def _alert(self, share: float, long: str, short: str, severity: str) -> Iterator[str]:
        factor = share * self.objective.slo.window / SPANS[long]
        if factor * (1 - self.target) >= 1:
            return  # not even if every request were bad
        most = _number(factor * (1 - self.target))
        sides = [f"{self._series(window)} > {most}" for window in (long, short)]
        it = self.objective
        yield "      - alert: MegahertzBudgetBurns"
        yield f"        expr: {_quoted(' and '.join(sides))}"
        yield from self._labels(severity, window=long)
        yield "        annotations:"
        told = (
            f"{it.method} {it.route}: {self.told}; "
            f"{{{{ $value | humanizePercentage }}}} of the last {long} were not, "
            f"{factor:g} times what the budget of {_number(1 - self.target)} allows"
        )
        yield f"          summary: {_quoted(told)}"

    def _series(self, window: str) -> str:
        it = self.objective
        return f"slo:error_ratio:rate{window}{_selected(it.method, it.route, slo=self.name)}"

    def _labels(self, severity: str, *, window: str = "") -> Iterator[str]:
        it = self.objective
        labels = {"method": it.method, "route": it.route, "slo": self.name}
        if severity:
            labels |= {"severity": severity, "window": window}
        yield "        labels:"
        for name, value in labels.items():
            yield f"          {name}: {_quoted(value)}"


def _group(name: str, *, interval: str = "") -> Iterator[str]:
    yield f"  - name: {_quoted(name)}"
    if interval:
        yield f"    interval: {interval}"
    yield "    rules:"


def _kinds(objective: Objective) -> Iterator[_Kind]:
    slo, at = objective.slo, (objective.method, objective.route)
    if slo.availability is not None:
        told = f"{_percent(slo.availability)} are to be answered below 500"
        good = _rate("requests_total", *at, 'status=~"[1-4]xx"')
        # The labels of both differ, so that `or` has all of them; who was refused has not ended.
        ended = _rate("requests_total", *at, 'status!="gone"')
        all_ = f"{ended} or {_rate('refused_total', *at, OWN_FAULT)}"
        yield _Kind(objective, "availability", slo.availability, told, good, all_)
    if slo.latency is not None:
        told = f"{_percent(slo.within)} are to be answered within {slo.latency:g} s"
        good = _rate("slo_fast_total", *at)
        all_ = _rate("request_duration_seconds_count", *at)
        yield _Kind(objective, "latency", slo.within, told, good, all_)


def _rate(name: str, method: str, route: str, matcher: str = "") -> str:
    return f"rate(megahertz_{name}{_selected(method, route, more=matcher)}[WINDOW])"


def _percent(share: float) -> str:
    return f"{_number(share * 100)} %"


def _selected(method: str, route: str, *, more: str = "", slo: str = "") -> str:
    found = [f"method={_quoted(method)}", f"route={_quoted(route)}"]
    found += [f'slo="{slo}"'] if slo else []
    found += [more] if more else []
    return "{" + ",".join(found) + "}"


def _number(value: float) -> str:
    """Without the last digits of 1 - 0.999."""
    return f"{value:.10g}"


def _quoted(text: str) -> str:
    """In double quotes, as JSON, PromQL and YAML read it alike."""
    return json.dumps(text, ensure_ascii=False)
