import asyncio
import contextlib
import os
import socket
import time

import pytest

from megahertz.engine import Notifier, activated
from megahertz.errors import BadSettings


@pytest.fixture
def manager(tmp_path):
    """systemd's end: a datagram socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        yield sock


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_it_hears_of_every_change(manager, tmp_path, abstract):
    name = f"megahertz-test-{os.getpid()}"
    manager.bind(f"\0{name}" if abstract else str(tmp_path / "notify"))
    environ = {"NOTIFY_SOCKET": f"@{name}" if abstract else str(tmp_path / "notify"), "HOME": "/"}
    notifier = Notifier(environ)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.ready("2 workers serve")
    notifier.reloading()
    notifier.stopping()

    ready, reloading, stopping = (manager.recv(1000).decode().split("\n") for _ in range(3))
    assert ready == ["READY=1", f"MAINPID={os.getpid()}", "STATUS=2 workers serve"]
    assert reloading[0] == "RELOADING=1"
    assert int(reloading[1].removeprefix("MONOTONIC_USEC=")) >= before
    assert stopping[0] == "STOPPING=1"
    assert environ == {"HOME": "/"}, "children are not meant to speak"


async def test_the_watchdog_hears_from_a_loop_that_turns(manager, tmp_path):
    manager.bind(str(tmp_path / "notify"))
    manager.setblocking(False)
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000"}
    Notifier(environ).watch()

    loop = asyncio.get_running_loop()
    for _ in range(3):
        assert await loop.sock_recv(manager, 100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    "environ",
    [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}],
)
async def test_nobody_need_listen(environ):
    notifier = Notifier(environ)
    notifier.watch()
    notifier.ready("serves")
    assert not environ


@contextlib.contextmanager
def handed(count, names=None):
    """Descriptors in a row, as systemd hands them over."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    first = 400
    for number, sock in enumerate(sockets):
        os.dup2(sock.fileno(), first + number)
        sock.close()
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count)}
    if names is not None:
        environ["LISTEN_FDNAMES"] = names
    yield environ, first


def test_all_sockets_are_taken_once(monkeypatch):
    with handed(2) as (environ, first):
        found = activated(environ=environ, first=first)
        assert [sock.fileno() for sock in found] == [first, first + 1]
        assert not found[0].get_inheritable()
        assert environ == {}
        assert activated(environ=environ, first=first) == []
        for sock in found:
            sock.close()


def test_one_is_chosen_by_its_name():
    with handed(2, "metrics:web") as (environ, first):
        (found,) = activated("web", environ=environ, first=first)
        assert found.fileno() == first + 1
        found.close()
        os.close(first)


def test_a_name_that_is_not_there_says_which_are():
    with pytest.raises(BadSettings, match=r"web.*metrics"):
        activated(
            "web", environ={"LISTEN_PID": "0", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "metrics"}
        )
    with pytest.raises(BadSettings, match="none at all"):
        activated("web", environ={})


def test_another_process_was_meant():
    assert activated(environ={"LISTEN_PID": "1", "LISTEN_FDS": "3"}) == []


def test_a_socket_that_does_not_listen_is_refused():
    with socket.socket() as sock, pytest.raises(BadSettings, match="no listening stream socket"):
        activated(
            environ={"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}, first=os.dup(sock.fileno())
        )
