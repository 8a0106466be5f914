"""`mhz demo`: what megahertz does to a service, on this machine."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from megahertz.demo import Moment, Sale

DATA = Path("flash-sale.data")


@click.group()
def demo() -> None:
    """Watch a service become fast."""


@demo.command("flash-sale")
@click.option("--seconds", default=8.0, show_default=True, help="Of each phase; eight phases.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write all.")
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("flash-sale.html"),
    show_default=True,
    help="Write the picture.",
)
@click.option("--stage", "names", multiple=True, help="Only this one; may be repeated.")
def flash_sale(seconds: float, file: Path | None, picture: Path, names: tuple[str, ...]) -> None:
    """A flash sale in four stages, measured by requests and audited.

    An ordinary FastAPI service, the same under `mhz run`, native handlers with write-behind, and
    those with their limits set. Each sells twice: *orders* has more stock than buyers, so every
    valid request is an order made durable; *rush* has 10,000 units. Then the databases are opened
    and compared with what the buyers were told.

    \b
    mhz demo flash-sale
    mhz demo flash-sale --seconds 2 --json out.json

    Exit code: 0 when the audit holds, 1 when it does not or a server failed, 2 when the command is
    not understood.
    """
    from rich.console import Console

    from megahertz.demo import STAGES, sell
    from megahertz.errors import ConnectError

    _require("fastapi", "uvicorn")
    unknown = set(names) - {stage.name for stage in STAGES}
    if unknown or not seconds > 0:
        raise click.UsageError(f"no stage {', '.join(unknown)}" if unknown else "--seconds above 0")
    stages = [stage for stage in STAGES if not names or stage.name in names]
    console = Console()
    try:
        with _folder() as folder, _bar(console, len(stages)) as tell:
            sold = sell(stages, folder, seconds=seconds, tell=tell)
    except ConnectError as error:
        raise click.ClickException(str(error)) from error
    _show(sold, console, file, picture)
    raise SystemExit(0 if sold.ok else 1)


def _require(*modules: str) -> None:
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise click.ClickException(
            f"the ordinary service needs {' and '.join(missing)}: pip install 'megahertz[demo]'"
        )


@contextmanager
def _folder() -> Iterator[Path]:
    """Databases lie in the current folder: /tmp is memory on many machines, where fsync is free."""
    try:
        DATA.mkdir()
    except FileExistsError:
        raise click.ClickException(
            f"{DATA} is there already: another demo runs, or one was killed; remove it then"
        ) from None
    try:
        yield DATA.resolve()
    finally:
        shutil.rmtree(DATA)


@contextmanager
def _bar(console: "Console", stages: int) -> Iterator[Callable[["Moment"], None]]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from megahertz.demo import PHASES, Moment

    columns = (TextColumn("{task.description:28}"), BarColumn(), TimeElapsedColumn())
    progress = Progress(
        *columns, TextColumn("{task.fields[live]}"), console=console, transient=True
    )
    with progress:
        whole = progress.add_task("flash sale", total=stages * len(PHASES), live="")
        part = progress.add_task("", total=1.0, live="")
        seen: list[tuple[str, str]] = []

        def tell(at: Moment) -> None:
            if (at.stage.name, at.phase.name) not in seen:
                seen.append((at.stage.name, at.phase.name))
            progress.update(whole, completed=len(seen) - 1 + at.share)
            live = f"{at.answered:,} answers" if at.answered else "starting"
            name = f"{at.stage.name}: {at.phase.name}"
            progress.update(part, completed=at.share, description=name, live=live)

        yield tell


def _show(sold: "Sale", console: "Console", file: Path | None, picture: Path) -> None:
    from megahertz.demo import audits, figures, plot

    for number, result in enumerate(sold.results):
        console.print(f"[bold]{number} {result.stage.name}[/]: {result.stage.title}")
    where = (
        "server on core {}, generator on core {}".format(*sold.cores)
        if sold.cores
        else "server and generator share one core"
    )
    console.print(f"[dim]{where}; {sold.seconds:g} s a phase")
    console.print(figures(sold))
    console.print("[dim]QPS of orders: made durable; CPU us: of the server, a request")
    console.print(audits(sold))
    ratio = sold.ratio()
    if ratio is not None:
        first, last = sold.results[0].stage.name, sold.results[-1].stage.name
        console.print(f"[bold]{last} makes {ratio:.1f} times the orders of {first}")
    console.print("[green]the audit holds" if sold.ok else "[red]the audit fails")
    picture.write_text(plot(sold))
    console.print(f"[dim]picture: {picture}")
    if file is not None:
        file.write_text(json.dumps(sold.as_dict(), indent=2) + "\n")
