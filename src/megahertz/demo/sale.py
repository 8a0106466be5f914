"""The sale: each stage opens a fresh shop for each phase, is loaded, stopped and audited."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from megahertz.demo.audit import Audit, audit
from megahertz.demo.flash_sale.database import create
from megahertz.demo.measure import Figures, Meter
from megahertz.demo.server import serving
from megahertz.demo.stages import Stage
from megahertz.demo.traffic import CONNECTIONS, PHASES, Phase, plan
from megahertz.load import Progress, drive, machine, pair, pinned


@dataclass(frozen=True, slots=True)
class Moment:
    """A look at the sale under way.

    Attributes:
        stage: that is running.
        phase: that it is in.
        share: of the phase that has passed, 0 to 1.
        answered: requests of the phase that were answered.
    """

    stage: Stage
    phase: Phase
    share: float
    answered: int


@dataclass(frozen=True, slots=True)
class Result:
    """One stage, both phases by name."""

    stage: Stage
    figures: dict[str, Figures]
    audits: dict[str, Audit]


@dataclass(slots=True)
class Sale:
    """The whole of it."""

    seconds: float
    cores: tuple[int, int] | None
    when: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    results: list[Result] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Every audit found nothing."""
        return all(audit.ok for result in self.results for audit in result.audits.values())

    def ratio(self) -> float | None:
        """Orders a second of the last stage over the first's."""
        rates = [result.figures["orders"].qps for result in self.results]
        return rates[-1] / rates[0] if len(rates) > 1 and rates[0] else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`; seconds and bytes."""
        return {
            "when": self.when,
            "machine": machine(),
            "pinned": None if self.cores is None else dict(zip(ROLES, self.cores, strict=True)),
            "versions": {name: version(name) for name in ("megahertz", "fastapi", "uvicorn")},
            "connections": CONNECTIONS,
            "seconds": self.seconds,
            "stages": [_stage(result) for result in self.results],
            "ratio": self.ratio(),
            "audit": {
                "ok": self.ok,
                "stages": {
                    result.stage.name: {
                        phase: audit.as_dict() for phase, audit in result.audits.items()
                    }
                    for result in self.results
                },
            },
        }


ROLES = ("server", "generator")


def _stage(result: Result) -> dict[str, Any]:
    """The orders phase is the headline; both are below `phases`."""
    phases = {name: asdict(figures) for name, figures in result.figures.items()}
    names = ("qps", "p50", "p99", "p999", "failed", "cpu", "cpu_per_request", "rss")
    headline = {name: phases["orders"][name] for name in names}
    return {
        "name": result.stage.name,
        "title": result.stage.title,
        **headline,
        "phases": phases,
    }


def sell(
    stages: Sequence[Stage],
    directory: Path,
    *,
    seconds: float,
    tell: Callable[[Moment], None] = lambda moment: None,
) -> Sale:
    """Runs the stages in `directory`, one shop after the other.

    Args:
        stages: in order.
        directory: for databases and journals; on a real disk, or the figures mean nothing.
        seconds: of each phase.
        tell: is called ten times a second.

    Raises:
        ConnectError: a server did not start or stop.
    """
    sale = Sale(seconds, pair())
    for stage in stages:
        figures, audits = {}, {}
        for phase in PHASES:
            home = directory / f"{stage.name}-{phase.name}"
            figures[phase.name], audits[phase.name] = _phase(stage, phase, home, sale, tell)
            shutil.rmtree(home)
        sale.results.append(Result(stage, figures, audits))
    return sale


def _phase(
    stage: Stage, phase: Phase, home: Path, sale: Sale, tell: Callable[[Moment], None]
) -> tuple[Figures, Audit]:
    home.mkdir(parents=True)
    create(home / "shop.db", phase.stock())
    server, generator = sale.cores or (None, None)
    seconds = sale.seconds * (stage.patience if phase.name == "rush" else 1)
    tell(Moment(stage, phase, 0.0, 0))
    with serving(stage, home, core=server) as running, pinned(generator):
        planned = plan(running.url, seconds=seconds)
        meter = Meter(running.pid)
        total = planned.warmup + planned.duration

        def look(at: Progress) -> None:
            meter.look(at)
            tell(Moment(stage, phase, min(1.0, at.elapsed / total), at.answered))

        report = drive(planned, look)
        if report.interrupted:
            raise KeyboardInterrupt
    figures = meter.figures(report, durable_only=phase.name == "orders")
    return figures, audit(home / "shop.db", report.outcomes)
