"""`mhz top`: here by the plane and the workers' inspectors, elsewhere by the overview."""

import io
import json
import subprocess
import sys
import urllib.error
from functools import partial

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from megahertz.cli import main
from megahertz.cli.screen import drawn
from megahertz.observe import Snapshot
from megahertz.observe.kept import Slow, Span
from megahertz.observe.live import Breaking, Event, Held, Limiting, Refusal, Routed, Totals, Working

APP = """
import asyncio, os
from megahertz import App, GCRA, Policy
from megahertz.http import Overview
from megahertz.observe import Tracing

app = App(overview=Overview(), layers=[Tracing(1.0, keep=64)])

@app.get("/pid")
async def pid() -> int:
    return os.getpid()

@app.get("/limited", policy=Policy(limit=GCRA(1, per=3600)))
async def limited() -> str:
    return "ok"

@app.get("/broken")
async def broken() -> None:
    raise ValueError("<b>[red]why\\x1b[31m")
"""


def mhz(*arguments):
    command = [sys.executable, "-m", "megahertz", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def status(served, path):
    try:
        served.get(path)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200


def test_it_shows_all_workers_of_a_server(serve, tmp_path, until):
    (tmp_path / "looked.py").write_text(APP)
    served = serve("looked:app", "--port", "0", "--workers", "2").wait_for_url()
    seen = set()
    until(lambda: seen.add(int(served.get("/pid"))) or len(seen) == 2)
    assert [status(served, "/limited") for _ in range(2)] == [200, 429]
    assert status(served, "/broken") == 500

    port = served.url.rpartition(":")[2]
    picture = json.loads(mhz("top", port, "--json").stdout)
    assert {worker["pid"] for worker in picture["workers"]} == seen
    assert all(worker["lag"] is not None for worker in picture["workers"])
    totals = {route["route"]: route["total"] for route in picture["routes"]}
    assert totals["GET /limited"] == totals["GET /broken"] == 1
    assert [refusal["rule"] for refusal in picture["refusals"]] == ["limit"]
    assert [limit["refused"] for limit in picture["limits"]] == [1]
    assert "GET /broken" in [slow["name"] for slow in picture["slow"]]
    (event,) = picture["events"]
    assert event["message"].startswith("GET /broken failed: <b>[red]why")
    assert event["where"].startswith(str(tmp_path / "looked.py"))

    for target in (str(served.process.pid), f":{port}", served.url):
        text = mhz("top", target, "--once").stdout
        assert "GET /limited" in text
        assert str(min(seen)) in text
        assert "[red]why" in text
        assert "\x1b" not in text
    assert served.end() == 0


@pytest.mark.parametrize(
    ("target", "code", "why"),
    [
        ("http://127.0.0.1:9", 1, "Connection refused"),
        ("999999999", 2, "no process 999999999"),
        (":9", 2, "no server of yours listens on port 9"),
        ("/nowhere", 2, "No such file"),
    ],
    ids=str,
)
def test_what_is_no_server_is_said(target, code, why):
    told = CliRunner().invoke(main, ["top", target])
    assert why in told.output
    assert told.exit_code == code


def test_a_process_that_is_no_server_is_said():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        told = CliRunner().invoke(main, ["top", str(other.pid)])
        other.stdin.close()
    assert (told.exit_code, "no plane" in told.output) == (2, True), told.output


def test_a_server_without_an_overview_says_so(serve):
    served = serve("shop:app", "--port", "0").wait_for_url()
    told = mhz("top", served.url)
    assert told.returncode == 2
    assert "it has no overview" in told.stderr
    assert "no route counts" in mhz("top", str(served.process.pid)).stdout
    assert served.end() == 0


def picture(**changes):
    totals = Totals(rate=2.5, failed=1.0, refused=3.0, running=4, p50=0.0000425, p99=1.5)
    empty = {name: [] for name in ("routes", "workers", "refusals", "limits", "breakers")}
    empty |= {name: [] for name in ("held", "slow", "events", "notes")}
    return Snapshot(**({"at": 0.0, "seconds": 5.0, "totals": totals} | empty | changes))


def told(seen, **options):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(drawn(seen, **options))
    return console.export_text()


def full():
    route = {"rate": 1.0, "running": 1, "total": 9, "p50": 0.05, "p99": None, "observed": {}}
    span = Span(trace="a" * 32, span="b" * 16, name="SELECT", kind="client", began=0, ended=10**7)
    figures = {"wait": 0.5, "limit": None}
    refusal = Refusal(at=0.0, id="7", route="GET /", rule="shed", observed=True, figures=figures)
    worker = Working(pid=7, seconds=1.0, cpu=0.5, memory=1 << 25, threads=3, files=None)
    blocked = msgspec.structs.replace(worker, pid=8, lag=0.5, blocked="shop.py:3 in total")
    breaker = {"closes": 1.0, "share": 1.0, "calls": 9, "failures": 8, "opened": 1, "refused": 5}
    slow = {"at": 0.0, "seconds": 2.0, "name": "GET /s", "trace": "t", "spans": [span]}
    limit = {"admitted": 1, "refused": 2, "forgotten": 0, "left": None}
    return picture(
        routes=[
            Routed(route="GET /\x1b[2J[red]", classes={"5xx": 0.5}, refused={"limit": 2.0}, **route)
        ],
        workers=[worker, blocked],
        refusals=[refusal],
        limits=[Limiting(name="per user", law="5/s, 1 at once", **limit)],
        breakers=[Breaking(name="GET /", state="open", **breaker)],
        held=[Held(route="", path="/x", seconds=None, where="shop.py:9 in wait")],
        slow=[Slow(status=None, error=None, **slow)],
        events=[Event(at=0.0, level="warning", message="one\ntwo", count=3)],
        notes=["a note"],
    )


def test_everything_is_on_the_screen_and_nothing_moves_the_cursor():
    text = told(full(), height=60, title="8000")
    for part in (
        "8000", "42 us", "1.5 s", "GET /�[2J[red]", "limit 2.0", "blocked at shop.py:3 in total",
        "32 MiB", "shed (observed)", "wait 0.5, limit any", "breaker GET /", "by key", "/x",
        "SELECT 10 ms", "a note", "one",
    ):  # fmt: skip
        assert part in text
    assert "two" not in text
    assert "\x1b" not in text


def test_what_does_not_fit_is_left_out():
    seen = full()
    seen.events = seen.events * 100
    assert told(seen, height=20).count("warning") == 3


def test_an_empty_one_is_drawn_too():
    text = told(picture())
    assert "no route has counted anything" in text
    assert "no worker" in text


def test_in_a_terminal_it_is_drawn_again_and_again(monkeypatch):
    """By `Live`, on the whole screen, until the pictures end."""
    from megahertz.cli import top as module

    shown = io.StringIO()
    terminal = partial(Console, file=shown, force_terminal=True, width=100, height=40)
    monkeypatch.setattr(module, "Console", terminal)
    module._follow(iter([picture(), full()]), "8000")
    assert shown.getvalue().count("requests/s") == 2
