"""etcd, NATS and toxiproxy for tests: real servers on free ports of the loopback.

`tests/programs.sh` builds them; without them a test fails and says so.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[1] / ".venv-programs"
ATTEMPTS = 3


def program(name: str) -> Path:
    """Where it is."""
    found = PROGRAMS / name
    if not found.exists():
        pytest.fail(f"{name} is missing: run tests/programs.sh (it needs Go)")
    return found


def free_port() -> int:
    """One that nobody has, for now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def answers(process: subprocess.Popen, port: int) -> bool:
    """Waits until it accepts connections; False: it has ended."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return True
    return False


class Etcd:
    """One member, with its data in a folder; it keeps its port when it starts again."""

    def __init__(self, folder: Path, *arguments: str, scheme: str = "http") -> None:
        self._folder, self._arguments, self.scheme = folder, arguments, scheme
        self._program = program("etcd")
        for attempt in range(ATTEMPTS):
            self.port, self._peers = free_port(), free_port()
            try:
                return self.start()
            except AssertionError:  # somebody else has taken a port meanwhile
                if attempt == ATTEMPTS - 1:
                    raise

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it serves: it tells so as systemd wants to hear it."""
        path = self._folder / "notify"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(str(path))
            told.settimeout(0.2)
            peers = f"http://127.0.0.1:{self._peers}"
            self._process = subprocess.Popen(
                [
                    self._program,
                    f"--data-dir={self._folder / 'data'}",
                    f"--listen-client-urls={self.endpoint}",
                    f"--advertise-client-urls={self.endpoint}",
                    f"--listen-peer-urls={peers}",
                    f"--initial-advertise-peer-urls={peers}",
                    f"--initial-cluster=default={peers}",
                    "--unsafe-no-fsync",
                    "--logger=zap",
                    f"--log-outputs={self._folder / 'log'}",
                    "--grpc-keepalive-min-time=100ms",
                    "--watch-progress-notify-interval=200ms",
                    *self._arguments,
                ],
                env={"NOTIFY_SOCKET": str(path), "PATH": os.environ["PATH"]},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while self._process.poll() is None:
                try:
                    assert b"READY=1" in told.recv(4096)
                except TimeoutError:
                    continue
                return
        log = (self._folder / "log").read_text()
        raise AssertionError(f"etcd ended before it was ready: {log[-2000:]}")

    def pause(self) -> None:
        """It keeps its connections and answers nothing; returns once it stands still."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a crash does."""
        self._process.kill()
        self._process.wait()


class Nats:
    """A server that keeps nothing."""

    def __init__(self) -> None:
        for _ in range(ATTEMPTS):
            port = free_port()
            self._process = subprocess.Popen(
                [program("nats-server"), "-a", "127.0.0.1", "-p", str(port)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if answers(self._process, port):
                self.url = f"nats://127.0.0.1:{port}"
                return
        pytest.fail("nats-server ended before it was ready")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Toxiproxy:
    """Stands between a client and a server, and does harm when told to."""

    def __init__(self) -> None:
        for _ in range(ATTEMPTS):
            self._port = free_port()
            self._process = subprocess.Popen(
                [program("toxiproxy"), "-host", "127.0.0.1", "-port", str(self._port)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if answers(self._process, self._port):
                return
        pytest.fail("toxiproxy ended before it was ready")

    def between(self, name: str, port: int) -> int:
        """A port of its own that leads to `port`."""
        wanted = {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{port}"}
        made = self._ask("POST", "/proxies", {**wanted, "enabled": True})
        return int(made["listen"].rsplit(":", 1)[1])

    def cut(self, name: str) -> None:
        """A partition: connections stay, and nothing passes in either direction."""
        for stream in ("upstream", "downstream"):
            toxic = {"name": stream, "type": "timeout", "stream": stream}
            self._ask("POST", f"/proxies/{name}/toxics", {**toxic, "attributes": {"timeout": 0}})

    def delay(self, name: str, milliseconds: int) -> None:
        toxic = {"name": "late", "type": "latency", "stream": "downstream"}
        attributes = {"latency": milliseconds, "jitter": milliseconds // 2}
        self._ask("POST", f"/proxies/{name}/toxics", {**toxic, "attributes": attributes})

    def heal(self) -> None:
        """Everything passes again; what was cut is closed."""
        self._ask("POST", "/reset")

    def _ask(self, method: str, path: str, body: object = None) -> dict:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status < 300, said
            return json.loads(said or b"{}")
        finally:
            connection.close()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
