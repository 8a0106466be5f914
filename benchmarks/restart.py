"""What clients see of hot restarts: `python -m benchmarks.restart`.

wrk asks with 64 connections and a chat goes on over 50 WebSockets, while `mhz reload` restarts the
workers again and again, every one of them. Any answer that is wrong or missing ends it with an
error; so does a socket that is closed with anything but 1012. Then workers are killed, without
load, and asked for until a successor answers.
"""

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import click

from benchmarks import generator
from benchmarks.peer import Peer, mhz_run
from benchmarks.server import Server, started
from benchmarks.work import Ask, Point
from megahertz.load import tree

CLIENTS = Point(64)
RESTART = 1012
KILLS = 4

APP = """
import os
from megahertz import App, Rooms, WebSocket

rooms = Rooms()
app = App(resources=[rooms])

@app.get("/pid")
async def pid() -> int:
    return os.getpid()

@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}

@app.socket("/chat")
class Chat:
    async def opened(self, websocket: WebSocket):
        await websocket.accept()
        rooms["all"].join(websocket)

    async def received(self, websocket, message):
        await rooms["all"].broadcast(message)
"""


class Chat:
    """Sockets that talk now and then, and come back when they are told to."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.heard = 0
        self.closes: Counter[int | None] = Counter()

    async def sit(self, session: aiohttp.ClientSession) -> None:
        """One of them, for ever."""
        while True:
            async with session.ws_connect(self._url) as websocket:
                await websocket.send_str("hello")
                async for _ in websocket:
                    self.heard += 1
                self.closes[websocket.close_code] += 1


@asynccontextmanager
async def chatting(base: str, count: int) -> AsyncIterator[Chat]:
    """While so many sit in the room."""
    chat = Chat(f"{base}/chat")
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        sitting = [group.create_task(chat.sit(session)) for _ in range(count)]
        yield chat
        for each in sitting:
            each.cancel()


async def measure(server: Server, seconds: float, sockets: int, pause: float) -> dict[str, object]:
    """Restarts under load, and what was seen of it."""
    before = await asyncio.to_thread(generator.load, server.base, Ask("/"), CLIENTS, 3.0)
    async with chatting(server.base, sockets) as chat:
        load = asyncio.create_task(
            asyncio.to_thread(generator.load, server.base, Ask("/"), CLIENTS, seconds)
        )
        took = []
        while not load.done():
            took.append(await asyncio.to_thread(reload, server.pid))
            await asyncio.sleep(pause)
        during = await load
    return {
        "restarts": len(took),
        "seconds": spread(took),
        "answers": during.answers,
        "failed": 0,
        "p99": {"before": round(before.p99, 4), "during": round(during.p99, 4)},
        "sockets": {"closes": dict(chat.closes), "heard": chat.heard},
        "replaced": spread([replaced(server) for _ in range(KILLS)]),
    }


def reload(pid: int) -> float:
    """Seconds that a hot restart took."""
    began = time.monotonic()
    command = [sys.executable, "-m", "megahertz", "reload", str(pid)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def replaced(server: Server) -> float:
    """Seconds from the death of a worker to an answer of its successor."""
    before = set(tree(server.pid))
    victim = min(before - {server.pid})  # the oldest: the places take turns
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    while _asked(server.base) in before:
        pass
    return time.monotonic() - began


def _asked(base: str) -> int:
    """Who answers; the victim itself may take a connection while it dies."""
    while True:
        try:
            with urllib.request.urlopen(f"{base}/pid", timeout=20) as answer:
                return int(answer.read())
        except ConnectionError:
            continue


def spread(seconds: list[float]) -> dict[str, float]:
    """Of several."""
    return {"median": round(statistics.median(seconds), 2), "most": round(max(seconds), 2)}


@click.command()
@click.option("--seconds", default=30.0, show_default=True, help="Of load.")
@click.option("--workers", default=2, show_default=True)
@click.option("--sockets", default=50, show_default=True)
@click.option("--pause", default=1.0, show_default=True, help="Seconds between two restarts.")
def main(seconds: float, workers: int, sockets: int, pause: float) -> None:
    """How long they took and what clients saw, as JSON; fails where one was failed."""
    generator.check()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "restart_app.py").write_text(APP)
        command = mhz_run("restart_app:app", "--workers", str(workers), "--supervise")
        peer = Peer("restart", lambda: command)
        with started(peer, {"PYTHONPATH": name}) as server:
            found = asyncio.run(measure(server, seconds, sockets, pause))
    click.echo(json.dumps(found, indent=2))
    if set(found["sockets"]["closes"]) != {RESTART}:
        raise click.ClickException("sockets were closed with something else than 1012")


if __name__ == "__main__":
    main()
