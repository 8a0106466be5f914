"""A run as it goes, for a terminal: rate, latencies, errors, and what the server uses."""

from collections import deque
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table

from megahertz.load.plan import Plan
from megahertz.load.run import Progress
from megahertz.load.sample import Sample
from megahertz.load.table import duration

_BARS = " ▁▂▃▄▅▆▇█"
# Twelve seconds at five samples a second: as much as fits beside the figures at 80 columns.
_WIDTH = 60


class Live:
    """Shows looks at a run until it is left; nothing remains of it.

    Args:
        console: where to.
        plan: what is being sent.
    """

    def __init__(self, console: Console, plan: Plan) -> None:
        self._total = plan.warmup + plan.duration
        self._samples: deque[Sample] = deque(maxlen=_WIDTH)
        self._screen = Screen(console=console, transient=True, refresh_per_second=5)

    def __enter__(self) -> "Live":
        self._screen.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._screen.__exit__(kind, error, traceback)

    def look(self, at: Progress) -> None:
        """What `drive` calls."""
        if at.sample:
            self._samples.append(at.sample)
        self._screen.update(self.view(at))

    def view(self, at: Progress) -> RenderableType:
        """The picture of a look."""
        figures = Table.grid(padding=(0, 2))
        figures.add_column(style="bold", width=9)
        figures.add_column(justify="right", width=16)
        figures.add_column(style="cyan", no_wrap=True)
        for row in self._rows(at):
            figures.add_row(*row)
        bar = Table.grid(padding=(0, 1))
        done = ProgressBar(total=self._total, completed=min(at.elapsed, self._total), width=_WIDTH)
        bar.add_row(f"{at.stage:10}", done, f"{at.elapsed:.0f} of {self._total:.0f} s")
        return Group(bar, figures)

    def _rows(self, at: Progress) -> list[tuple[str, str, str]]:
        now = self._samples[-1] if self._samples else None
        if now is None:
            return []
        rows = [
            ("rate", f"{now.rate:,.0f} /s", spark([each.rate for each in self._samples])),
            *(
                (name, _time(now, key), spark([getattr(s, key) or 0.0 for s in self._samples]))
                for name, key in (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"))
            ),
            ("failed", f"{at.failed:,}", spark([float(each.failed) for each in self._samples])),
            ("waiting", f"{now.busy:,}", f"{now.backlog:,} due and not sent"),
        ]
        if now.rss is not None:
            rows.append(("memory", f"{now.rss / 1e6:,.0f} MB", f"{now.cpu or 0.0:.2f} cores"))
        if now.tasks is not None:
            rows.append(("tasks", f"{now.tasks:,.0f}", ""))
        return rows


def _time(sample: Sample, key: str) -> str:
    seconds = getattr(sample, key)
    return "-" if seconds is None else duration(seconds)


def spark(values: list[float]) -> str:
    """A bar for each value, the highest as high as a line."""
    most = max(values, default=0.0)
    if most <= 0:
        return ""
    return "".join(_BARS[round(value / most * (len(_BARS) - 1))] for value in values)
