"""One client of `benchmarks.calls`: so many tasks, one call after the other each.

`python -m benchmarks.peers.python.calling CLIENT PORT CALLERS` reads seconds from its input, calls
so long, and prints what that came to.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvloop

Call = Callable[[], Awaitable[int]]
TIMEOUT = 30.0


@asynccontextmanager
async def ours(port: int, _: int) -> AsyncIterator[Call]:
    """The client that people use."""
    from megahertz import Client

    url = f"http://127.0.0.1:{port}/"
    async with Client(timeout=TIMEOUT) as client:

        async def call() -> int:
            answer = await client.get(url)
            return answer.status_code if answer.content else 0

        yield call


@asynccontextmanager
async def on_httpx(port: int, callers: int) -> AsyncIterator[Call]:
    """httpx, without its limit of 100."""
    import httpx

    limits = httpx.Limits(max_connections=callers, max_keepalive_connections=callers)
    url = f"http://127.0.0.1:{port}/"
    async with httpx.AsyncClient(limits=limits, timeout=TIMEOUT) as client:

        async def call() -> int:
            answer = await client.get(url)
            return answer.status_code if answer.content else 0

        yield call


@asynccontextmanager
async def on_aiohttp(port: int, callers: int) -> AsyncIterator[Call]:
    """aiohttp, its parser in C."""
    import aiohttp

    connector = aiohttp.TCPConnector(limit=callers)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    url = f"http://127.0.0.1:{port}/"
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:

        async def call() -> int:
            async with client.get(url) as answer:
                return answer.status if await answer.read() else 0

        yield call


CLIENTS = {
    "megahertz": (ours, asyncio.new_event_loop),
    "megahertz uvloop": (ours, uvloop.new_event_loop),
    "httpx": (on_httpx, uvloop.new_event_loop),
    "aiohttp": (on_aiohttp, uvloop.new_event_loop),
}


async def turn(call: Call, callers: int, seconds: float) -> dict[str, float]:
    """Calls so long; how many, and the CPU that they took."""
    calls, before, until = 0, time.process_time(), time.monotonic() + seconds

    async def caller() -> None:
        nonlocal calls
        while time.monotonic() < until:
            if await call() != 200:
                raise ValueError("no answer")
            calls += 1

    await asyncio.gather(*(caller() for _ in range(callers)))
    return {"calls": calls, "cpu": time.process_time() - before}


async def main(name: str, port: int, callers: int) -> None:
    """Until its input ends."""
    loop = asyncio.get_running_loop()
    async with CLIENTS[name][0](port, callers) as call:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await turn(call, callers, float(line))), flush=True)


if __name__ == "__main__":
    chosen = sys.argv[1]
    with asyncio.Runner(loop_factory=CLIENTS[chosen][1]) as runner:
        runner.run(main(chosen, int(sys.argv[2]), int(sys.argv[3])))
