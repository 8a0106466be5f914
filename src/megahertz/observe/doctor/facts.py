"""What the checks are given: the machine as it was read, twice, a moment apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum


class Severity(IntEnum):
    """How bad, the worst first."""

    CRITICAL = 0
    WARNING = 1
    NOTICE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong, and what to do about it.

    Attributes:
        check: the name of the check, stable.
        severity: how bad.
        title: one sentence.
        evidence: what was read, with its figures.
        path: from what is seen to what causes it.
        fix: the command or the setting that changes it.
    """

    check: str
    severity: Severity
    title: str
    evidence: str
    path: tuple[str, ...]
    fix: str


class State(IntEnum):
    """Of a TCP connection (include/net/tcp_states.h)."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECEIVED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """One TCP socket, as the kernel tells it (man 7 sock_diag).

    Attributes:
        state: of the connection.
        local, remote: address and port.
        received: bytes that the application has not read; of a listener, connections waiting.
        unsent: bytes that the peer has not acknowledged; of a listener, how many may wait.
        inode: 0 where no process has it.
        sent: segments with data, ever.
        retransmitted: segments, ever.
        rtt: seconds, smoothed; 0 where unknown.
        congestion: the congestion window, in segments.
        notsent: bytes that the kernel has not sent yet.
    """

    state: State
    local: tuple[str, int]
    remote: tuple[str, int] = ("", 0)
    received: int = 0
    unsent: int = 0
    inode: int = 0
    sent: int = 0
    retransmitted: int = 0
    rtt: float = 0.0
    congestion: int = 0
    notsent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """The part of the processor that a group of processes may have (Documentation/scheduler/
    sched-bwc.rst in the kernel).

    Attributes:
        path: of the group.
        periods: in which it ran, during the look.
        throttled: of these, in which it was stopped.
        lost: seconds that it was stopped for.
    """

    path: str
    periods: int
    throttled: int
    lost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One that serves.

    Attributes:
        pid: its number.
        parent: its parent's.
        name: its program.
        files: open ones.
        most_files: that it may have open.
        inodes: of its sockets.
        cgroup: None where the kernel counts nothing for it.
    """

    pid: int
    parent: int = 0
    name: str = ""
    files: int = 0
    most_files: int = 1 << 20
    inodes: frozenset[int] = frozenset()
    cgroup: Cgroup | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the checks look at.

    Attributes:
        port: that was asked about; None: the machine.
        seconds: between the two looks.
        counters: of the second look: `TcpExt.ListenOverflows`, `Tcp.OutSegs`, ...
        grown: by how much each has grown between the looks.
        settings: of the kernel, as `net.core.somaxconn`.
        sockets: of TCP, at the second look.
        processes: that serve the port; empty without one.
        nodes: pages of each memory node that were allocated for a processor of another, and all.
        interpreters: files of CPython that serve the port, without one that of this process; with
            the options that each was compiled with, where it tells.
        notes: what could not be looked at, and why.
    """

    port: int | None = None
    seconds: float = 1.0
    counters: Mapping[str, int] = field(default_factory=dict)
    grown: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    sockets: Sequence[Socket] = ()
    processes: Sequence[Process] = ()
    nodes: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    interpreters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def setting(self, name: str, default: int) -> int:
        """One number of the kernel's settings."""
        text = self.settings.get(name, "").split()
        return int(text[0]) if text and text[0].lstrip("-").isdigit() else default

    @property
    def port_range(self) -> tuple[int, int]:
        """Of the ports that connections of ours come from, both ends included."""
        text = self.settings.get("net.ipv4.ip_local_port_range", "").split()
        return (int(text[0]), int(text[1])) if len(text) == 2 else (32768, 60999)

    def of(self, state: State) -> list[Socket]:
        """The sockets in a state."""
        return [socket for socket in self.sockets if socket.state is state]

    def listeners(self) -> list[Socket]:
        """Those of the port, or all."""
        found = self.of(State.LISTEN)
        return [it for it in found if self.port is None or it.local[1] == self.port]

    def served(self) -> list[Socket]:
        """Connections that were accepted on the port, or all."""
        found = self.of(State.ESTABLISHED)
        return [it for it in found if self.port is None or it.local[1] == self.port]
