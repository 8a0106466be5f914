"""How it is measured.

All servers of a work are up at once, on core 0; the generator is on core 1. Each round asks every
server in turn (A B C A B C), so that a slow minute of the machine falls on all of them; those whose
turn it is not are stopped (SIGSTOP), and each has a short burst before its turn counts. The CPU of
the server's process tree is taken before and after. Medians of the rounds are compared, never
figures of different runs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from benchmarks import generator
from benchmarks.build import Missing
from benchmarks.generator import Bad
from benchmarks.peer import peers
from benchmarks.server import Server, started
from benchmarks.store import STORES
from benchmarks.work import Point, Work
from megahertz.load import pair, pinned

SETTLE = 0.2
"""Seconds of load before a turn counts: caches are cold and the server has just been woken."""

Tell = Callable[..., None]
"""`tell(text, seconds)`: what begins now, and how long it takes."""


@dataclass
class Measured:
    """One peer's rounds at one point.

    Attributes:
        cpu_us: microseconds of server CPU a request, by round.
        rps: answers a second, by round.
        p99_us: microseconds, by round; none where requests are pipelined.
        rss: resident bytes, by round.
    """

    cpu_us: list[float] = field(default_factory=list)
    rps: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, list[float]]:
        """By name, for the result."""
        return {name: values for name, values in vars(self).items() if values}


Points = dict[str, dict[str, dict[str, list[float]]]]
"""By point, peer and figure: the rounds."""


@contextmanager
def serving(
    work: Work, names: Sequence[str], missing: dict[str, str], tell: Tell
) -> Iterator[list[Server]]:
    """Builds, starts and verifies all; says in `missing` why one cannot run."""
    with ExitStack() as stack:
        environment = stack.enter_context(STORES[work.redis]()) if work.redis else {}
        running = []
        for name in names:
            tell(f"{work.name}: building and starting {name}")
            with ExitStack() as own:
                try:
                    server = own.enter_context(started(peers()[name], environment))
                    server.verify(work.asks)
                except Missing as why:
                    missing[name] = str(why)
                    continue
                stack.push(own.pop_all())
            server.pause()
            running.append(server)
        yield running


def measure(
    work: Work,
    running: Sequence[Server],
    missing: dict[str, str],
    *,
    rounds: int,
    seconds: float | None,
    tell: Tell,
) -> Points:
    """Every point; a round with wrong answers is told, a peer with two of them left out there."""
    cores = pair()
    with pinned(cores[1] if cores else None):
        return {
            point.name: _point(work, point, running, missing, rounds, seconds, tell)
            for point in work.points
        }


def _point(
    work: Work,
    point: Point,
    running: Sequence[Server],
    missing: dict[str, str],
    rounds: int,
    seconds: float | None,
    tell: Tell,
) -> dict[str, dict[str, list[float]]]:
    results = {server.peer.name: Measured() for server in running}
    long = seconds or point.seconds or work.seconds
    for number in range(1, rounds + 1):
        for server in running:
            name = server.peer.name
            if name not in results:
                continue
            tell(f"{work.name} {point.name}: round {number} of {rounds}, {name}", long)
            try:
                _turn(server, work, point, long, results[name])
            except Bad as why:
                where = f"{name} at {point.name}"
                if where in missing:
                    del results[name]
                missing[where] = f"round {number}: {why}"
    return {name: measured.figures() for name, measured in results.items() if measured.cpu_us}


def _turn(server: Server, work: Work, point: Point, seconds: float, into: Measured) -> None:
    ask, warm = work.asks[0], Point(min(point.connections, 64), point.pipeline)
    server.resume()
    try:
        generator.load(server.base, ask, warm, min(SETTLE * (1 if into.rss else 3), seconds))
        before = server.usage()
        seen = generator.load(server.base, ask, point, seconds)
        after = server.usage()
    finally:
        server.pause()
    into.cpu_us.append((after.cpu - before.cpu) / seen.answers * 1e6)
    into.rps.append(seen.answers / seen.seconds)
    if point.pipeline == 1:  # else wrk times a batch, and its correction knows no batches
        into.p99_us.append(seen.p99 * 1e6)
    into.rss.append(float(after.rss))


def describe(rounds: int, seconds: float) -> Mapping[str, object]:
    """The method as the result tells it."""
    cores = pair()
    return {
        "generator": "wrk",
        "rounds": rounds,
        "seconds": seconds,
        "cores": "server on core {}, generator on core {}".format(*cores) if cores else "one core",
    }
