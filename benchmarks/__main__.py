"""`python -m benchmarks`: what a request costs here and elsewhere, side by side."""

from dataclasses import dataclass

import click
from rich.console import Console

from benchmarks import calls, generator, micro
from benchmarks.build import Missing, is_release
from benchmarks.idle import measure_idle
from benchmarks.limits import raise_limits
from benchmarks.meter import Meter, expected
from benchmarks.method import describe, measure, serving
from benchmarks.peer import chosen
from benchmarks.promise import judged
from benchmarks.result import Found, result, save
from benchmarks.table import show
from benchmarks.work import WORKS, Work

MICRO = "micro"
NOT_SAVED = "not saved: not all peers, fewer than 5 rounds of 1 s, or no release build of us"


@dataclass(frozen=True)
class Order:
    """What the command line asks for; None is a work's own."""

    peers: tuple[str, ...]
    rounds: int | None
    seconds: float | None

    @property
    def is_whole(self) -> bool:
        """Whether its results may stand for the project: all peers, and rounds enough."""
        rounds, seconds = self.rounds or 5, self.seconds or 1.0
        return not self.peers and rounds >= 5 and seconds >= 1.0 and is_release()

    def names(self, work: Work) -> list[str]:
        """The peers of it that are asked for."""
        return chosen(work.peers, self.peers)

    def expected(self, work: Work) -> float:
        """Seconds of load in it."""
        return expected(work, len(self.names(work)), self.rounds, self.seconds)

    def command(self, work: Work) -> str:
        """What measures it like this again; only whole orders are written down."""
        given = {"ROUNDS": self.rounds, "SECONDS": self.seconds}
        extra = [f" {name}={value:g}" for name, value in given.items() if value is not None]
        return f"make bench WORK={work.name}{''.join(extra)}"


@click.command()
@click.option("--work", default="", help="Names, with commas; all when left out.")
@click.option("--peers", default="", help="Parts of names, with commas; ours are always there.")
@click.option("--rounds", type=click.IntRange(1), help="At least 5 for a median that holds.")
@click.option("--seconds", type=float, help="Of each server in each round.")
@click.option("--check", is_flag=True, help="Exit with 1 when a promise is not kept.")
@click.option("--list", "listing", is_flag=True, help="The works and their peers; no run.")
def main(
    work: str, peers: str, rounds: int | None, seconds: float | None, check: bool, listing: bool
) -> None:
    """CPU a request, throughput and P99, side by side.

    \b
    python -m benchmarks --work hello --peers fasthttp,granian --rounds 5 --seconds 1
    """
    console = Console()
    if listing:
        return _list(console)
    known = (*WORKS, calls.NAME, MICRO)
    names = _split(work) or known
    if unknown := sorted({*names} - {*known}):
        raise click.BadParameter(f"no {', '.join(unknown)}; there are {', '.join(known)}")
    order = Order(_split(peers), rounds, seconds)
    try:
        found = _measured([WORKS[name] for name in names if name in WORKS], order, console)
        within = calls.run(rounds, seconds, keep=is_release()) if calls.NAME in names else True
        within &= micro.measure(console) if MICRO in names else True
    except (Missing, ValueError) as error:
        raise click.ClickException(str(error)) from error
    kept = _judged(found, console) and within
    if check and not kept:
        raise SystemExit(1)


def _measured(works: list[Work], order: Order, console: Console) -> dict[str, Found]:
    """Each work's result, shown and saved as soon as it is there."""
    found: dict[str, Found] = {}
    if works:
        generator.check()
    raise_limits(max((point.connections for it in works for point in it.points), default=0))
    with Meter(console, sum(map(order.expected, works))) as meter:
        for work in works:
            try:
                one = _one(work, order, meter)
            except Missing as why:
                said = f"without the work {work.name}: {why}"
                console.print(said, style="yellow", markup=False)
                continue
            found[work.name] = one
            show(one, console)
            is_kept = order.is_whole and all(one["points"].values())
            console.print(f"[dim]{save(one) if is_kept else NOT_SAVED}")
    return found


def _one(work: Work, order: Order, meter: Meter) -> Found:
    missing: dict[str, str] = {}
    rounds, seconds = order.rounds or work.rounds, order.seconds or work.seconds
    with serving(work, order.names(work), missing, meter) as running:
        if work.name == "idle":
            rounds = 1
            points = measure_idle(work, running, missing, seconds=order.seconds, tell=meter)
        else:
            points = measure(
                work, running, missing, rounds=rounds, seconds=order.seconds, tell=meter
            )
        return result(
            work, points, missing, command=order.command(work), method=describe(rounds, seconds)
        )


def _judged(found: dict[str, Found], console: Console) -> bool:
    """Tells what has become of the promises about these works; whether all hold."""
    verdicts = [it for it in judged(found.get) if it.promise.work in found]
    for verdict in verdicts:
        console.print(str(verdict), style="green" if verdict.holds else "red", highlight=False)
    return all(verdict.holds for verdict in verdicts)


def _list(console: Console) -> None:
    for work in WORKS.values():
        console.print(f"[bold]{work.name}[/]: {work.what}\n  {', '.join(work.peers)}")
    console.print(f"[bold]{MICRO}[/]: instructions of each step of a request, no peers")


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


if __name__ == "__main__":
    main()
