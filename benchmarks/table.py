"""A result on the terminal."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.figures import FIGURES
from benchmarks.result import Found


def show(found: Found, console: Console) -> None:
    """A table a point."""
    method, place = found["method"], found["machine"]
    console.print(
        f"[bold]{found['work']}[/]: {found['what']}; {method['rounds']} rounds of "
        f"{method['seconds']:g} s, interleaved; {method['cores']}; load {place['load']}"
    )
    for point, measured in found["points"].items():
        console.print(_table(point, measured))
    for name, why in found["missing"].items():
        console.print(f"not counted: {name}: {why}", style="yellow", markup=False, highlight=False)


def _table(point: str, measured: Found) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column(f"{point} connections", style="bold", no_wrap=True)
    names = [name for name in FIGURES if any(name in peer for peer in measured.values())]
    for name in names:
        table.add_column(FIGURES[name].head, justify="right", no_wrap=True)
    for peer, figures in measured.items():
        cells = [FIGURES[name].cell(figures[name]).replace("[", r"\[") for name in names]
        table.add_row(peer, *cells)
    return table
