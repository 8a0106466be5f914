"""What a series of samples says about its server: where it broke first, and which rules it meets.

The rule of tasks and memory comes from reports of services in production: more than 500 tasks
while the memory grows by more than 15 MB a second means that a P99.9 three times as high follows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from megahertz.load.sample import Sample

TASKS = 500
GROWTH = 15e6
FACTOR = 3.0
PILE_UP = "tasks > 500 and RSS > 15 MB/s -> P99.9 x 3"

# A core is never busier than this for long: the rest is the kernel's, and the sampling's.
BUSY = 0.95

Cause = Literal["CPU", "loop lag", "memory", "errors", "latency"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a server has to keep.

    Attributes:
        p999: seconds.
        errors: a share.
        lag: seconds that its loop may be late.
        cores: that it may use.
        memory: bytes a second that it may grow.
    """

    p999: float = 0.05
    errors: float = 0.001
    lag: float = 0.1
    cores: float = 1.0
    memory: float = GROWTH


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a sample shows.

    Attributes:
        name: of the cause or the rule.
        at: seconds since the start of the run.
        text: with the figures.
    """

    name: str
    at: float
    text: str

    def __str__(self) -> str:
        return f"{self.name} at {self.at:.1f} s: {self.text}"

    def as_dict(self) -> dict[str, str | float]:
        """Plain data."""
        return {"name": self.name, "at": self.at, "text": self.text}


def first(samples: Sequence[Sample], bounds: Bounds) -> Finding | None:
    """The bound that broke first; of those that broke together, the one that causes the others."""
    found = [finding for index in range(len(samples)) for finding in _at(samples, index, bounds)]
    if not found:
        return None
    # A processor is full before its queue is long: what the next sample shows is the same moment.
    together = [each for each in found if each.at <= found[0].at + 1.5 * samples[0].seconds]
    order: tuple[Cause, ...] = ("CPU", "loop lag", "memory", "errors", "latency")
    return min(together, key=lambda finding: order.index(finding.name))


def _at(samples: Sequence[Sample], index: int, bounds: Bounds) -> Iterable[Finding]:
    sample = samples[index]
    growth = _growth(samples, index)
    ended = max(sample.rate * sample.seconds, sample.failed)
    if sample.cpu is not None and sample.cpu > BUSY * bounds.cores:
        used = f"{sample.cpu:.2f} of {bounds.cores:g} cores"
        yield Finding("CPU", sample.at, used)
    if sample.lag is not None and sample.lag > bounds.lag:
        yield Finding("loop lag", sample.at, f"the loop is {sample.lag * 1e3:.0f} ms late")
    if growth is not None and growth > bounds.memory:
        yield Finding("memory", sample.at, f"RSS grows by {growth / 1e6:.0f} MB/s")
    if ended and sample.failed / ended > bounds.errors:
        yield Finding("errors", sample.at, f"{sample.failed / ended:.2%} failed")
    if sample.p999 is not None and sample.p999 > bounds.p999:
        yield Finding("latency", sample.at, f"P99.9 is {sample.p999 * 1e3:.1f} ms")


def _growth(samples: Sequence[Sample], index: int) -> float | None:
    """Bytes a second over the last second: a single interval shows a page fault as a leak."""
    now = samples[index]
    for before in reversed(samples[:index]):
        if now.at - before.at >= 1.0 - 1e-6:
            if now.rss is None or before.rss is None:
                return None
            return (now.rss - before.rss) / (now.at - before.at)
    return None


def pile_up(samples: Sequence[Sample]) -> Finding | None:
    """The rule of tasks and memory: whether it was met, and what P99.9 did from then on."""
    for index, sample in enumerate(samples):
        growth = _growth(samples, index)
        if growth is None or growth <= GROWTH or sample.tasks is None or sample.tasks <= TASKS:
            continue
        before, after = _p999(samples[:index]), _p999(samples[index:], worst=True)
        met = f"{sample.tasks:,.0f} tasks and RSS + {growth / 1e6:.0f} MB/s"
        if before is None or after is None:
            return Finding(PILE_UP, sample.at, f"{met}; P99.9 is not known on both sides")
        rise = after / before
        verdict = "as the rule says" if rise >= FACTOR else f"less than the rule's {FACTOR:g}"
        return Finding(PILE_UP, sample.at, f"{met}; then P99.9 rose x {rise:.1f}, {verdict}")
    return None


def _p999(samples: Sequence[Sample], *, worst: bool = False) -> float | None:
    known = [sample.p999 for sample in samples if sample.p999]
    return (max(known) if worst else median(known)) if known else None
