"""As systemd starts it: with sockets that listen already, and somebody to notify."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from .test_restart import reload

HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(sys.executable, [sys.executable, "-m", "megahertz", "run", *sys.argv[2:]])
"""


def ask(address):
    with socket.create_connection(address, 20) as peer:
        peer.sendall(b"GET /pid HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: peer.recv(4096), b""))
    return int(answer.rpartition(b"\r\n")[2])


class Unit:
    """What systemd keeps of a service: its socket, and what it was told."""

    def __init__(self, directory):
        self.directory = directory
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(directory / "notify"))
        self.manager.settimeout(20)

    @contextmanager
    def running(self, *arguments):
        number = self.socket.fileno()
        with subprocess.Popen(
            [sys.executable, "-c", HAND_OVER, str(number), "shop:app", *arguments],
            cwd=self.directory,
            env={**os.environ, "NOTIFY_SOCKET": str(self.directory / "notify")},
            pass_fds=(number,),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def told(self):
        return self.manager.recv(1000).decode().split("\n")


@pytest.fixture
def unit(serve, tmp_path):
    found = Unit(tmp_path)
    yield found
    found.socket.close()
    found.manager.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_serves_on_the_socket_that_it_was_given(unit, workers):
    """Who connected before it started, and between two runs, is answered too."""
    host, port = unit.address
    waiting = socket.create_connection(unit.address, 20)
    waiting.sendall(b"GET /pid HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    with unit.running("--workers", workers) as process:
        assert f"http://{host}:{port} " in process.stdout.readline()
        assert unit.told()[:2] == ["READY=1", f"MAINPID={process.pid}"]
        assert waiting.recv(4096).startswith(b"HTTP/1.1 200")
        first = ask(unit.address)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert unit.told()[0] == "STOPPING=1"
    waiting.close()

    with socket.create_connection(unit.address, 20) as between:
        between.sendall(b"GET /pid HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        with unit.running("--workers", workers, "--host", "systemd:web") as process:
            assert between.recv(4096).startswith(b"HTTP/1.1 200")
            assert ask(unit.address) != first
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_a_hot_restart_is_told(unit):
    with unit.running("--supervise") as process:
        assert unit.told()[0] == "READY=1"
        before = ask(unit.address)

        assert reload(process.pid).returncode == 0

        assert unit.told()[0] == "RELOADING=1"
        assert unit.told()[0] == "READY=1"
        assert ask(unit.address) != before
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_name_that_the_unit_lacks_is_told(unit):
    with unit.running("--host", "systemd:metrics") as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "(web)" in err


def test_systemds_own_tool_starts_it(unit):
    tool = shutil.which("systemd-socket-activate")
    assert tool, "systemd-socket-activate is missing: apt-get install systemd"
    port = unit.address[1]
    unit.socket.close()
    run = [sys.executable, "-m", "megahertz", "run", "shop:app"]
    with subprocess.Popen(
        [tool, f"--listen=127.0.0.1:{port}", *(f"-E{name}" for name in os.environ), *run],
        cwd=unit.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stderr.readline()  # "Listening on ..."
        assert ask(unit.address) == process.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stdout.read()
        process.stderr.read()
