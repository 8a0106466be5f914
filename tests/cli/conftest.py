import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

APP = """
import asyncio, os, sys, time
from contextlib import asynccontextmanager
from pathlib import Path
from megahertz import App, GCRA, Policy

if os.environ.get("BROKEN"):
    raise RuntimeError("broken on purpose")

@asynccontextmanager
async def lifespan(app):
    if os.environ.get("ENDLESS"):
        Path("entered").touch()
        try:
            await asyncio.Event().wait()
        finally:
            Path("left").touch()
    if os.environ.get("UNWILLING"):
        raise RuntimeError("no database")
    yield
    Path("left").write_text("yes")

app = App(lifespan=lifespan)

@app.get("/pid")
async def pid() -> int:
    return os.getpid()

@app.get("/worker")
async def worker() -> list[str | None]:
    names = "MEGAHERTZ_WORKER", "MEGAHERTZ_WORKERS", "MEGAHERTZ_LIFELINE"
    return [os.environ.get(name) for name in names]

@app.get("/slow")
async def slow() -> str:
    Path("entered").touch()
    while not Path("leave").exists():
        await asyncio.sleep(0.01)
    return "done"

@app.get("/stuck")
async def stuck() -> None:
    Path("entered").touch()
    time.sleep(60)

@app.get("/stuck-thread")
def stuck_thread() -> None:
    Path("entered").touch()
    time.sleep(60)

@app.get("/die")
async def die() -> None:
    os._exit(9)

def make():
    return app

async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"asgi"})

states = []

async def mounted(scope, receive, send):
    if scope["type"] == "lifespan":
        return states.append("lifespan")
    said = f"{scope['path']} {scope['root_path']} {' '.join(states) or 'no lifespan'}"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": said.encode()})

POLICY = Policy(limit=GCRA(1, per=3600, burst=2))
limited = App(policy=Policy(limit=GCRA(1, per=3600, burst=50)))

@limited.get("/pid", policy=Policy.off())
async def limited_pid() -> int:
    return os.getpid()

@limited.get("/")
async def hello() -> str:
    return "ok"
"""


def until(condition, seconds=20.0):
    """Polls a condition on a real process: there is no event to wait for across processes."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
    return found


@pytest.fixture(name="until")
def _until():
    return until


class Served:
    """`mhz run` as a process of its own."""

    def __init__(self, directory, arguments, env):
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-m", "megahertz", "run", *arguments],
            cwd=directory,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.line = ""
        self.url = ""

    def wait_for_url(self):
        self.line = self.process.stdout.readline()
        found = re.search(r"https?://\S+", self.line)
        assert found, self.process.stderr.read()
        self.url = found[0]
        return self

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return answer.read()

    def refuses(self):
        try:
            self.get("/pid")
        except (urllib.error.URLError, ConnectionError, OSError):
            return True
        return False

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def serve(tmp_path):
    (tmp_path / "shop.py").write_text(APP)
    started = []

    def start(*arguments, **env):
        started.append(Served(tmp_path, arguments, env))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.process.kill()
        served.process.wait(20)
        served.process.stdout.close()
        served.process.stderr.close()
