"""What tests of several packages share: Hypothesis profiles, and servers of their own.

Hypothesis: the same examples every time in CI, fresh and more of them by a setting. A missing
server is a failure that says what to do.
"""

import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import cluster

QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("fast", derandomize=True, deadline=None, suppress_health_check=QUIET)
settings.register_profile("slow", max_examples=5000, deadline=None, suppress_health_check=QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(autouse=True)
def _level():
    """What a test makes of the root logger is its own."""
    root = logging.getLogger()
    before = root.level
    yield
    root.setLevel(before)


class Postgres:
    """A server of its own on a free port of the loopback, with nothing in it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._root = Path(tempfile.mkdtemp(prefix="megahertz-postgres-"))
        self._data = self._root / "data"
        # PostgreSQL refuses root; the package's own user may not enter pytest's directories.
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self._root, self._user.pw_uid, self._user.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run("initdb", "-D", self._data, "-U", "shop", "-A", "trust", "-N", "-E", "UTF8")
        self.dsn = f"postgresql://shop@127.0.0.1:{self.port}/postgres"
        self.start()

    def _run(self, program: str, *arguments: object) -> None:
        identity = {}
        if self._user is not None:
            group = self._user.pw_gid
            identity = {"user": self._user.pw_uid, "group": group, "extra_groups": []}
        subprocess.run(
            [self._programs / program, *map(str, arguments)],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._root,
            **identity,
        )

    def start(self) -> None:
        """Returns once it accepts connections."""
        options = f"-p {self.port} -k {self._root} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = self._root / "log"
        self._run("pg_ctl", "start", "-w", "-s", "-D", self._data, "-l", log, "-o", options)

    def stop(self) -> None:
        """As a crash would, without a checkpoint."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", "immediate", "-D", self._data)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._root)


@pytest.fixture(scope="session")
def postgres():
    """A running server; tests use tables of their own."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        pytest.fail("PostgreSQL is missing: run tests/servers.sh, or apt-get install postgresql")
    server = Postgres(Path(initdb).parent)
    yield server
    server.remove()


class RedisServer:
    """A server of its own on a free port of the loopback, with nothing in it."""

    def __init__(self, program: str) -> None:
        self._program = program
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Returns once it answers."""
        options = ["--port", self._port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [self._program, *map(str, options)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in self._process.stdout:
            if "eady to accept connections" in line:
                return
        pytest.fail("redis-server ended before it was ready")

    def pause(self) -> None:
        """It keeps its connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Its clients are cut off."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def new_redis():
    """Starts a server."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("Redis is missing: run tests/servers.sh, or apt-get install redis-server")
    return lambda: RedisServer(program)


@pytest.fixture
def redis_server(new_redis):
    """A running server."""
    server = new_redis()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def etcd(tmp_path_factory):
    """A member that nobody harms; tests use keys of their own."""
    server = cluster.Etcd(tmp_path_factory.mktemp("etcd"))
    yield server
    server.kill()


@pytest.fixture
def new_etcd(tmp_path):
    """Starts a member of a test's own."""
    started = []

    def start(*arguments: str, scheme: str = "http") -> cluster.Etcd:
        folder = tmp_path / f"etcd-{len(started)}"
        folder.mkdir()
        started.append(cluster.Etcd(folder, *arguments, scheme=scheme))
        return started[-1]

    yield start
    for server in started:
        server.resume()
        server.kill()


@pytest.fixture
def toxiproxy():
    """A running one."""
    server = cluster.Toxiproxy()
    yield server
    server.stop()
