"""What the workers of a server count together."""

import json
import os
import signal
import subprocess
import sys
import urllib.error

import pytest

from megahertz.engine import look


def statuses(served, number):
    found = []
    for _ in range(number):
        try:
            served.get("/")
            found.append(200)
        except urllib.error.HTTPError as error:
            found.append(error.code)
            error.close()
    return found


def pids(served, count):
    found = set()
    while len(found) < count:
        found.add(int(served.get("/pid")))
    return found


def test_two_workers_admit_what_one_would_and_go_on_when_one_is_killed(serve, until):
    served = serve("shop:limited", "--port", "0", "--workers", "2").wait_for_url()
    first = pids(served, 2)
    found = statuses(served, 60)
    assert (found.count(200), found.count(429)) == (50, 10)

    os.kill(min(first), signal.SIGKILL)
    until(lambda: len(pids(served, 2) - {min(first)}) == 2)
    assert statuses(served, 20) == [429] * 20

    plane = look(served.process.pid)
    assert {owner[1] for owner in plane.owners()} == pids(served, 2)
    (route,) = [tally for tally in plane.tallies() if tally[0] == "GET /"]
    assert (route[1], route[3][2], route[4][2][0]) == (0, 50, 30)
    assert served.end() == 0


@pytest.mark.parametrize("app", ["shop:asgi", "shop:app"])
def test_an_option_puts_rules_in_front_of_any_application(serve, app):
    served = serve(app, "--port", "0", "--policy", "shop:POLICY").wait_for_url()
    found = []
    for _ in range(3):
        try:
            served.get("/pid")
            found.append(200)
        except urllib.error.HTTPError as error:
            found.append(error.code)
            error.close()
    assert found == [200, 200, 429]
    assert served.end() == 0


def test_what_is_no_policy_is_told(serve):
    served = serve("shop:asgi", "--port", "0", "--policy", "shop:asgi")
    assert served.process.wait(20) == 3
    assert "is no Policy" in served.process.stderr.read()


def mhz(*arguments):
    command = [sys.executable, "-m", "megahertz", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_refusal_is_explained_by_its_id(serve):
    served = serve("shop:limited", "--port", "0").wait_for_url()
    statuses(served, 50)
    try:
        served.get("/")
    except urllib.error.HTTPError as error:
        name = error.headers["x-request-id"]
        error.close()
    pid = str(served.process.pid)
    told = mhz("explain", name, "--server", pid)
    assert told.returncode == 0, told.stderr
    assert "GET /" in told.stdout
    assert "limit" in told.stdout
    (found,) = json.loads(mhz("explain", name, "--server", pid, "--json").stdout)
    assert (found["rule"], found["route"], found["figures"]["remaining"]) == ("limit", "GET /", 0)
    assert mhz("explain", "nobody", "--server", pid).returncode == 1
    assert "no plane" in mhz("explain", "--server", str(os.getpid())).stderr
    assert served.end() == 0
