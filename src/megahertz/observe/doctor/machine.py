"""Looks at a machine: its files under a root, and its sockets, twice."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from megahertz.observe.doctor import diag, interpreter, reading
from megahertz.observe.doctor.facts import Cgroup, Facts, Process, Socket, State

SETTINGS = (
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_syncookies",
)


class Machine:
    """What can be read of it.

    Args:
        root: of its files; a copy of some for tests.
        sockets: lists those of TCP.
    """

    def __init__(
        self, root: Path = Path("/"), sockets: Callable[[], list[Socket]] = diag.sockets
    ) -> None:
        self._root = root
        self._list = sockets

    def text(self, path: str) -> str:
        """Of a file; empty where it is not there, or not ours to read."""
        with suppress(OSError, UnicodeDecodeError):
            return (self._root / path.lstrip("/")).read_text()
        return ""

    def look(self, port: int | None, wait: Callable[[], float]) -> Facts:
        """Looks, waits, and looks again.

        Args:
            port: whose servers are looked at.
            wait: called between the two; gives the seconds that it took.
        """
        notes: list[str] = []
        before = self._counters()
        pids = self._serving(port, self._sockets(notes))
        groups = {pid: self._throttling(pid) for pid in pids}
        seconds = wait()
        after, sockets = self._counters(), self._sockets([])
        return Facts(
            port=port,
            seconds=seconds,
            counters=after,
            grown={name: value - before.get(name, 0) for name, value in after.items()},
            settings={name: self.text(f"/proc/sys/{name.replace('.', '/')}") for name in SETTINGS},
            sockets=sockets,
            processes=[self._process(pid, groups[pid]) for pid in pids],
            nodes=dict(self._nodes()),
            interpreters=dict(self._interpreters(["self"] if port is None else pids)),
            notes=tuple(notes),
        )

    def _counters(self) -> dict[str, int]:
        texts = [self.text("/proc/self/net/snmp"), self.text("/proc/self/net/netstat")]
        return {name: value for text in texts for name, value in reading.counters(text).items()}

    def _sockets(self, notes: list[str]) -> list[Socket]:
        try:
            return self._list()
        except OSError as error:
            notes.append(f"sockets were not looked at: {error}")
            return []

    def _serving(self, port: int | None, sockets: Iterable[Socket]) -> list[int]:
        if port is None:
            return []
        wanted = {
            it.inode for it in sockets if it.state is State.LISTEN and it.local[1] == port
        } - {0}
        return [pid for pid in self._pids() if wanted & self._inodes(pid)]

    def _pids(self) -> list[int]:
        with suppress(OSError):
            names = os.listdir(self._root / "proc")
            return sorted(int(name) for name in names if name.isdigit())
        return []

    def _descriptors(self, pid: int) -> list[str]:
        found = []
        with suppress(OSError):
            folder = self._root / f"proc/{pid}/fd"
            for name in os.listdir(folder):
                with suppress(OSError):  # closed meanwhile
                    found.append(os.readlink(folder / name))
        return found

    def _inodes(self, pid: int) -> frozenset[int]:
        links = self._descriptors(pid)
        return frozenset(int(link[8:-1]) for link in links if link.startswith("socket:["))

    def _process(self, pid: int, before: dict[str, tuple[int, int, float]]) -> Process:
        return Process(
            pid=pid,
            parent=reading.parent(self.text(f"/proc/{pid}/stat")),
            name=self.text(f"/proc/{pid}/comm").strip(),
            files=len(self._descriptors(pid)),
            most_files=reading.most_files(self.text(f"/proc/{pid}/limits")),
            inodes=self._inodes(pid),
            cgroup=_grown(before, self._throttling(pid)),
        )

    def _interpreters(self, pids: Iterable[int | str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """By the process: a container's have files of their own."""
        seen: set[str] = set()
        for pid in pids:
            path = interpreter.mapped(self.text(f"/proc/{pid}/maps"))
            if path and path not in seen:
                seen.add(path)
                yield path, interpreter.options(self._root / f"proc/{pid}/root{path}")

    def _throttling(self, pid: int) -> dict[str, tuple[int, int, float]]:
        """By the group: its own, and those above that limit it as well."""
        found = {}
        for folder in reading.cpu_groups(self.text(f"/proc/{pid}/cgroup")):
            told = reading.throttling(self.text(f"{folder}/cpu.stat"))
            if told[0]:
                found[folder] = told
        return found

    def _nodes(self) -> Iterator[tuple[int, tuple[int, int]]]:
        folder = self._root / "sys/devices/system/node"
        with suppress(OSError):
            for name in sorted(os.listdir(folder)):
                if name.startswith("node") and name[4:].isdigit():
                    yield (
                        int(name[4:]),
                        reading.numa(self.text(f"sys/devices/system/node/{name}/numastat")),
                    )


def _grown(
    before: dict[str, tuple[int, int, float]], after: dict[str, tuple[int, int, float]]
) -> Cgroup | None:
    """The group that was stopped longest during the look."""
    grown = [
        Cgroup(
            path=path,
            periods=told[0] - before.get(path, told)[0],
            throttled=told[1] - before.get(path, told)[1],
            lost=told[2] - before.get(path, told)[2],
        )
        for path, told in after.items()
    ]
    return max(grown, key=lambda group: group.lost, default=None)
