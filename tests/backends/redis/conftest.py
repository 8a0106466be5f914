"""One Redis for all tests of this folder, emptied before each that asks for it."""

import os
import shutil
import socket
import subprocess

import pytest


class Store:
    """A running server: TCP, a Unix socket, and commands for a test's own use."""

    def __init__(self, program: str, folder) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.path = f"{folder}/redis.sock"
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = ["--port", self.port, "--bind", "127.0.0.1", "--unixsocket", self.path]
        options += ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes"]
        command = [program, *map(str, options)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in self._process.stdout:
            if "eady to accept connections" in line:
                return
        pytest.fail("redis-server ended before it was ready")

    def ask(self, *words: object) -> bytes:
        """One command over a connection of its own, and the first 64 KiB of what came."""
        line = b"*%d\r\n" % len(words)
        for word in words:
            octets = str(word).encode()
            line += b"$%d\r\n%s\r\n" % (len(octets), octets)
        with socket.create_connection(("127.0.0.1", self.port), 10) as sock:
            sock.sendall(line)
            return sock.recv(65536)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def redis_program():
    """redis-server, which has to be there."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("Redis is missing: run tests/servers.sh, or apt-get install redis-server")
    return program


@pytest.fixture(scope="session")
def shared_store(redis_program, tmp_path_factory):
    store = Store(redis_program, os.path.realpath(tmp_path_factory.mktemp("redis")))
    yield store
    store.stop()


@pytest.fixture
def store(shared_store):
    """With nothing in it."""
    assert shared_store.ask("FLUSHALL") == b"+OK\r\n"
    return shared_store
