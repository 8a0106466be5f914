"""`mhz run --reload`: edit, and the next request finds the new code."""

import os
import sys
import threading

import pytest

from megahertz.cli.target import StartFailed
from megahertz.cli.watch import watch

ANY = ("--host", "127.0.0.1", "--port", "0", "--reload")

APP = """
import asyncio
from megahertz import App, Events

app = App()

@app.get("/version")
async def version() -> int:
    return {version}

@app.get("/events")
async def events() -> Events:
    async def forever():
        yield "hello"
        await asyncio.Event().wait()
    return Events(forever())
"""


@pytest.fixture
def edit(tmp_path):
    def write(version):
        (tmp_path / "edited.py").write_text(APP.replace("{version}", version))

    write("1")
    return write


def test_a_change_is_served_and_no_request_fails(serve, until, edit):
    served = serve("edited:app", *ANY).wait_for_url()
    assert served.get("/version") == b"1"
    # A browser tab that stays open is what keeps other servers from restarting.
    stream = threading.Thread(target=served.get, args=("/events",))
    stream.start()

    edit("2")
    until(lambda: served.get("/version") == b"2")

    stream.join(20)
    assert served.end() == 0
    assert "edited.py changed" in served.process.stderr.read()


def test_a_request_waits_until_the_code_is_right_again(serve, edit):
    served = serve("edited:app", *ANY).wait_for_url()
    edit("(")
    lines = iter(served.process.stderr.readline, "")
    assert any("it waits for a change" in line for line in lines)
    answers: list[bytes] = []
    request = threading.Thread(target=lambda: answers.append(served.get("/version")))
    request.start()

    edit("3")

    request.join(20)
    assert answers == [b"3"]
    assert served.end() == 0


def test_the_first_start_may_fail_too(serve, edit):
    edit("(")
    served = serve("edited:app", *ANY).wait_for_url()
    lines = iter(served.process.stderr.readline, "")
    assert any("SyntaxError" in line for line in lines)
    assert any("it waits for a change" in line for line in lines)
    edit("4")
    assert served.get("/version") == b"4"
    assert served.end() == 0


def test_a_start_that_hangs_is_not_waited_for(serve, until, edit):
    served = serve("edited:app", *ANY).wait_for_url()
    edit("1\nimport time; time.sleep(100)")
    lines = iter(served.process.stderr.readline, "")
    assert any("edited.py changed" in line for line in lines)
    edit("5")
    until(lambda: served.get("/version") == b"5")
    assert served.end() == 0


def test_the_library_that_watches_is_named_where_it_lacks(monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(StartFailed, match=r"pip install 'megahertz\[reload\]'"):
        watch(["."])


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StartFailed, match="no such folder"):
        watch([os.fspath(tmp_path / "none")])
