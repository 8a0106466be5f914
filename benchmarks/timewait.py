"""Whether calls leave connections behind: `python -m benchmarks.timewait`.

100,000 calls from 64 tasks through one pool; counted are the connections that were opened, and
those to the server's port that lie in TIME_WAIT afterwards (proc_net(5), state 06).
"""

import asyncio
from pathlib import Path

import click

from benchmarks.peer import FLOOR, peers
from benchmarks.server import started
from megahertz.engine import Origin, Pool, PoolStatistics

CALLERS = 64
TIME_WAIT = "06"


def lying(port: int, proc: Path = Path("/proc")) -> int:
    """Connections of that port in TIME_WAIT, whichever end it is."""
    lines = (proc / "net/tcp").read_text().splitlines()[1:]
    return sum(_is_lying(line.split(), port) for line in lines)


def _is_lying(fields: list[str], port: int) -> bool:
    ports = {int(fields[side].rpartition(":")[2], 16) for side in (1, 2)}
    return fields[3] == TIME_WAIT and port in ports


async def call(port: int, calls: int) -> PoolStatistics:
    """So many calls; what the pool has seen before it is closed."""
    pool, origin, left = Pool(), Origin("http", "127.0.0.1", port), iter(range(calls))

    async def caller() -> None:
        for _ in left:
            answer = await pool.send(origin, "GET", "/", timeout=30.0)
            assert answer.status == 200

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    seen = pool.statistics()
    click.echo(f"{seen.requests:,} calls, {seen.dialled} connections opened")
    click.echo(f"in TIME_WAIT while the pool is open: {lying(port)}")
    await pool.aclose()
    return seen


@click.command()
@click.option("--calls", type=click.IntRange(1), default=100_000)
def main(calls: int) -> None:
    """Connections that calls leave behind; ends with 1 where there are more than callers."""
    with started(peers()[FLOOR], {}) as server:
        port = server.port
        seen = asyncio.run(call(port, calls))
        after = lying(port)
    click.echo(f"and after it was closed: {after}")
    if seen.dialled > CALLERS or after > CALLERS + 1:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
