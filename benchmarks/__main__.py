"""`python -m benchmarks`: hello JSON beside a C floor and fasthttp."""

import click
from rich.console import Console

from benchmarks import generator, method, result
from benchmarks.peer import peers
from megahertz.load import pair


@click.command()
@click.option("--rounds", default=7, show_default=True, help="At least 5 for a median that holds.")
@click.option("--seconds", default=2.0, show_default=True, help="Of each server in each round.")
@click.option("--generator", "asker", type=click.Choice(["auto", "wrk", "mhz"]), default="auto")
@click.option("--only", multiple=True, help="A peer by name; may be repeated.")
@click.option("--check", is_flag=True, help="Exit with 1 when a promise is not kept.")
def main(rounds: int, seconds: float, asker: str, only: tuple[str, ...], check: bool) -> None:
    """CPU a request of `GET /`, side by side.

    \b
    python -m benchmarks --rounds 7 --seconds 2
    """
    console = Console()
    name, load = generator.choose(asker)
    chosen = [peer for peer in peers() if not only or peer.name in only]
    with (
        console.status("building") as status,
        method.serving(chosen, lambda said: console.print(f"[yellow]{said}")) as running,
    ):
        measured = method.measure(running, load, rounds=rounds, seconds=seconds, tell=status.update)
    cores = pair()
    found = result.result(
        chosen,
        measured,
        generator=name,
        connections=generator.CONNECTIONS,
        rounds=rounds,
        seconds=seconds,
        cores="server on core {}, generator on core {}".format(*cores) if cores else "one core",
    )
    result.show(found, console)
    if not only:
        console.print(f"[dim]{result.save(found)}")
    if check and (said := result.broken(found)):
        console.print("\n".join(f"[red]{line}" for line in said))
        raise SystemExit(1)


if __name__ == "__main__":
    main()
