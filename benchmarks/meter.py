"""How far a run is: a bar over the seconds that the works are going to take."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.work import Work


class Meter:
    """`meter(text, seconds)` says what begins and how long it takes."""

    def __init__(self, console: Console, seconds: float) -> None:
        text = TextColumn("{task.description}")
        columns = (BarColumn(20), TimeElapsedColumn(), TimeRemainingColumn(), text)
        # Once a second: what draws it runs on the cores that are measured.
        self._progress = Progress(*columns, console=console, transient=True, refresh_per_second=1)
        self._task = self._progress.add_task("", total=seconds)
        self._running = 0.0

    def __call__(self, text: str, seconds: float = 0.0) -> None:
        """What was told before has ended."""
        self._progress.update(self._task, description=text, advance=self._running)
        self._running = seconds

    def __enter__(self) -> "Meter":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()


def expected(work: Work, peers: int, rounds: int | None, seconds: float | None) -> float:
    """Seconds of load in it for so many peers; starting and building come on top."""
    turns = (rounds or work.rounds) * peers
    return sum((seconds or point.seconds or work.seconds) * turns for point in work.points)
