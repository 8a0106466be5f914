"""A Redis Cluster of three masters and three replicas on the loopback, for tests that break it."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

PATIENCE = 60.0
TRIES = 5


class Cluster:
    """Six servers, the first three of them masters to begin with."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        for _ in range(TRIES):
            self.ports = _free(6)
            self._processes = {port: self._start(port) for port in self.ports}
            if all(self._answers(port) for port in self.ports):
                self._form()
                return
            self.end()
        pytest.fail("redis-server did not start on any of the ports that were free")

    def _answers(self, port: int) -> bool:
        """Whether it runs; not where somebody else took its port meanwhile."""
        ended = self._processes[port].poll
        _until(lambda: ended() is not None or self.ask(port, "PING") == "PONG")
        return ended() is None

    def _start(self, port: int) -> subprocess.Popen:
        folder = self._folder / str(port)
        folder.mkdir(exist_ok=True)
        options = ["--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        options += ["--appendonly", "no", "--cluster-enabled", "yes"]
        options += ["--cluster-node-timeout", 1000, "--cluster-port", port + 1]
        options += ["--cluster-replica-validity-factor", 0, "--repl-ping-replica-period", 1]
        command = [self._program, *map(str, options)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def _form(self) -> None:
        masters, replicas = self.ports[:3], self.ports[3:]
        bounds = [0, 5461, 10923, 16384]
        for index, port in enumerate(masters):
            self.ask(port, "CLUSTER", "ADDSLOTSRANGE", bounds[index], bounds[index + 1] - 1)
            self.ask(port, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for port in self.ports[1:]:
            self.ask(self.ports[0], "CLUSTER", "MEET", "127.0.0.1", port, port + 1)
        for port in self.ports:
            _until(lambda port=port: self.ask(port, "CLUSTER", "NODES").count("connected") >= 6)
        for master, replica in zip(masters, replicas, strict=True):
            number = self.ask(master, "CLUSTER", "MYID")
            _until(lambda r=replica, n=number: self.ask(r, "CLUSTER", "REPLICATE", n) == "OK")
        for port in self.ports:
            _until(lambda port=port: "cluster_state:ok" in self.ask(port, "CLUSTER", "INFO"))
        for port in masters:
            _until(lambda port=port: "state=online" in self.ask(port, "INFO", "replication"))
        _until(lambda: all(self.ask(p, "CLUSTER", "SLOTS").count("\n$40") == 6 for p in self.ports))

    def ask(self, port: int, *words: object) -> str:
        """What a node replies, as it is on the wire, statuses and strings without their heads."""
        line = b"*%d\r\n" % len(words)
        for word in words:
            octets = str(word).encode()
            line += b"$%d\r\n%s\r\n" % (len(octets), octets)
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as sock:
                sock.sendall(line)
                said = sock.recv(1 << 20).decode()
        except OSError:
            return ""
        if said.startswith("$"):
            return said.partition("\r\n")[2].removesuffix("\r\n")
        return said[1:].removesuffix("\r\n") if said.startswith(("+", "-")) else said

    def masters(self) -> list[int]:
        """Ports of who is one now."""
        return [
            port for port in self.ports if "role:master" in self.ask(port, "INFO", "replication")
        ]

    def kill(self, port: int) -> None:
        """It is gone."""
        self._processes[port].kill()
        self._processes[port].wait()

    def stop(self, port: int) -> None:
        """It neither answers nor closes anything (SIGSTOP)."""
        self._processes[port].send_signal(signal.SIGSTOP)

    def end(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()


def _free(count: int) -> list[int]:
    """Ports that are free, and the next of each, for the bus."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one, socket.socket() as bus:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                bus.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            if all(abs(port - other) > 1 for other in found):
                found.append(port)
    return found


def _until(condition) -> None:
    """Nothing tells when servers have agreed: they are asked."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            pytest.fail("the cluster did not come to what it should")
        time.sleep(0.02)
