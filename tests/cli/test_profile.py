"""`mhz profile` of a real server: the planted lines are named, and the files are there."""

import json
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from megahertz.cli import main

APP = """
import asyncio, time
from megahertz import App

app = App(metrics_url="/metrics")
kept = []

@app.get("/pid")
async def pid() -> str:
    return "ok"

@app.get("/block")
async def block() -> str:
    time.sleep(0.2)  # line 14
    return "ok"

@app.get("/slow")
async def slow() -> str:
    await asyncio.sleep(0.5)  # line 19
    return "ok"

@app.get("/leak")
async def leak() -> str:
    kept.append(bytearray(1_000_000))  # line 24
    return "ok"
"""


@pytest.fixture
def busy(serve, tmp_path):
    """A server whose planted routes are asked for, again and again."""
    (tmp_path / "planted.py").write_text(APP)
    served = serve("planted:app", "--port", "0", "--workers", "2").wait_for_url()
    ended = threading.Event()

    def ask(path):
        while not ended.is_set():
            served.get(path)
            ended.wait(0.2)  # or nothing but the blocking one would ever run

    paths = ("/block", "/slow", "/leak")
    threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    yield served
    ended.set()
    for thread in threads:
        thread.join()
    if served.process.poll() is None:
        assert served.end() == 0


def mhz(*arguments):
    command = [sys.executable, "-m", "megahertz", "profile", *arguments]
    told = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_planted_lines_are_named(busy, tmp_path):
    source, port = str(tmp_path / "planted.py"), busy.url.rpartition(":")[2]
    told = mhz(port, "--seconds", "2", "--output", str(tmp_path / "seen"))
    assert f"{source}:14 in block" in told
    assert f"{source}:19 in slow" in told
    assert "recording it took" in told
    files = {file.name for file in (tmp_path / "seen").iterdir()}
    assert files == {"flame.svg", "timeline.svg", "profile.speedscope.json", "trace.json"}
    assert "GET /block" in (tmp_path / "seen/flame.svg").read_text()

    found = json.loads(mhz(port, "--seconds", "1.5", "--json"))["findings"]
    lines = {(one["kind"], one["route"]): one["where"] for one in found}
    assert lines["blocks", "GET /block"] == f"{source}:14 in block"
    assert lines["waits", "GET /slow"] == f"{source}:19 in slow"

    (worst, *_) = json.loads(mhz(port, "--seconds", "1", "--heap", "--json"))["growth"]
    assert worst["where"] == f"{source}:24"
    pid = next(iter(threads_of(busy)))
    assert "got and kept by" in mhz(port, "--seconds", "0.2", "--heap", "--pid", pid)


def threads_of(served):
    told = subprocess.run(
        [sys.executable, "-m", "megahertz", "top", str(served.process.pid), "--json"],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    return [str(worker["pid"]) for worker in json.loads(told.stdout)["workers"]]


def test_what_cannot_be_recorded_is_said(serve):
    told = CliRunner().invoke(main, ["profile", ":9"])
    assert (told.exit_code, "no server" in told.output) == (2, True)
    served = serve("shop:app", "--port", "0").wait_for_url()
    told = CliRunner().invoke(main, ["profile", str(served.process.pid), "--pid", "999999999"])
    assert (told.exit_code, "cannot be looked into" in told.output) == (1, True)
    assert served.end() == 0


def test_files_that_cannot_be_written_are_said(serve, tmp_path):
    (tmp_path / "taken").write_text("")
    served = serve("shop:app", "--port", "0").wait_for_url()
    arguments = ["profile", str(served.process.pid), "--seconds", "0.1"]
    told = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "taken")])
    assert (told.exit_code, "File exists" in told.output) == (1, True)
    assert served.end() == 0
