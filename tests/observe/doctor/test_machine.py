"""What is read, from recorded files and from the kernel."""

import json
import os
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from megahertz.cli import main
from megahertz.observe.doctor import Machine, Socket, State, diag, probe, probes, reading

NETSTAT = """TcpExt: SyncookiesSent ListenOverflows
TcpExt: 3 17
IpExt: InNoRoutes
IpExt: 0
"""


def test_counters():
    assert reading.counters(NETSTAT) == {
        "TcpExt.SyncookiesSent": 3,
        "TcpExt.ListenOverflows": 17,
        "IpExt.InNoRoutes": 0,
    }
    assert reading.counters("") == {}


def test_limits():
    text = "Limit  Soft Limit  Hard Limit\nMax open files            1024      4096     files\n"

    assert reading.most_files(text) == 1024
    assert reading.most_files("Max open files  unlimited unlimited files") == 1 << 30


def test_the_name_of_a_program_may_be_anything():
    assert reading.parent("7 (a) b (c) S 3 7 7") == 3
    assert reading.parent("") == 0


def test_groups_of_both_versions():
    text = "4:cpu,cpuacct:/a\n3:memory:/b\n0::/a/b\n"

    assert reading.cpu_groups(text) == [
        "/sys/fs/cgroup/cpu,cpuacct/a",
        "/sys/fs/cgroup/cpu,cpuacct",
        "/sys/fs/cgroup/cpu/a",
        "/sys/fs/cgroup/cpu",
        "/sys/fs/cgroup/a/b",
        "/sys/fs/cgroup/a",
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/unified/a/b",
        "/sys/fs/cgroup/unified/a",
        "/sys/fs/cgroup/unified",
    ]


@pytest.mark.parametrize("line", ["throttled_usec 250000", "throttled_time 250000000"])
def test_throttling_of_both_versions(line):
    assert reading.throttling(f"nr_periods 10\nnr_throttled 4\n{line}\n") == (10, 4, 0.25)
    assert reading.throttling("") == (0, 0, 0.0)


def test_nodes():
    assert reading.numa("numa_hit 9\nlocal_node 90\nother_node 10\n") == (10, 100)


@pytest.fixture
def recorded(tmp_path):
    """A machine as files: one server on port 80."""

    def write(path, text):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    write("proc/self/net/netstat", NETSTAT)
    write("proc/sys/net/core/somaxconn", "128\n")
    write("proc/7/stat", "7 (mhz) S 1 7 7")
    write("proc/7/comm", "mhz\n")
    write("proc/7/limits", "Max open files  512 512 files\n")
    write("proc/7/cgroup", "0::/mhz\n")
    write("sys/fs/cgroup/mhz/cpu.stat", "nr_periods 10\nnr_throttled 2\nthrottled_usec 5\n")
    write("sys/devices/system/node/node0/numastat", "local_node 5\nother_node 1\n")
    (tmp_path / "proc/7/fd").mkdir()
    (tmp_path / "proc/7/fd/3").symlink_to("socket:[41]")
    (tmp_path / "proc/7/fd/4").symlink_to("/dev/null")
    (tmp_path / "proc/8").mkdir()
    return tmp_path


def test_a_machine_is_looked_at_twice(recorded):
    listener = Socket(state=State.LISTEN, local=("::", 80), inode=41)

    def wait():
        grown = NETSTAT.replace("3 17", "3 20")
        (recorded / "proc/self/net/netstat").write_text(grown)
        stat = "nr_periods 20\nnr_throttled 6\nthrottled_usec 1000005\n"
        (recorded / "sys/fs/cgroup/mhz/cpu.stat").write_text(stat)
        return 2.0

    facts = Machine(recorded, lambda: [listener]).look(80, wait)

    assert facts.grown["TcpExt.ListenOverflows"] == 3
    assert facts.setting("net.core.somaxconn", 0) == 128
    assert facts.setting("net.ipv4.tcp_fin_timeout", 60) == 60
    assert facts.port_range == (32768, 60999)
    assert facts.nodes == {0: (1, 6)}
    (process,) = facts.processes
    assert (process.pid, process.parent, process.name) == (7, 1, "mhz")
    assert (process.files, process.most_files, process.inodes) == (2, 512, {41})
    group = process.cgroup
    assert (group.path, group.periods, group.throttled) == ("/sys/fs/cgroup/mhz", 10, 4)
    assert group.lost == pytest.approx(1.0)


def test_an_empty_machine_is_looked_at_as_well(tmp_path):
    def refuse():
        raise OSError("sock_diag: the kernel refuses")

    facts = Machine(tmp_path, refuse).look(80, lambda: 1.0)

    assert facts.processes == []
    assert facts.notes == ("sockets were not looked at: sock_diag: the kernel refuses",)


def test_the_kernel_tells_of_our_own_sockets():
    with socket.create_server(("127.0.0.1", 0), backlog=7) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            with accepted:
                client.sendall(b"x" * 100)
                assert accepted.recv(1, socket.MSG_PEEK)
                found = {it.inode: it for it in diag.sockets()}
                ours = found[os.fstat(accepted.fileno()).st_ino]
                theirs = found[os.fstat(client.fileno()).st_ino]
                listening = found[os.fstat(server.fileno()).st_ino]

    assert (ours.state, ours.received) == (State.ESTABLISHED, 100)
    assert ours.local == ("127.0.0.1", port)
    assert ours.remote == theirs.local
    assert theirs.sent == 1
    assert theirs.rtt > 0
    assert theirs.congestion > 0
    assert (listening.state, listening.unsent) == (State.LISTEN, 7)


def test_an_older_kernel_says_less():
    message = struct.pack("=BBBB", socket.AF_INET6, 1, 0, 0) + bytes(68)
    short = message + struct.pack("=HH", 4 + 8, 2) + bytes(8)

    assert diag.read(short).retransmitted == 0
    assert diag.read(message + struct.pack("=HH", 0, 2)).rtt == 0.0


def test_a_kernel_that_refuses():
    refusal = struct.pack("=IHHIIi", 20, 2, 0, 0, 0, -1)

    with pytest.raises(OSError, match="refuses"):
        diag._take(refusal, [])
    assert not diag._take(b"", [])


class Run:
    """bpftrace, as it might answer."""

    def __init__(self, stdout="", stderr="", code=0, error=None):
        self.done = subprocess.CompletedProcess([], code, stdout, stderr)
        self.error = error

    def __call__(self, command, **options):
        if self.error is not None:
            raise self.error
        return self.done


@pytest.fixture
def bpftrace(monkeypatch):
    monkeypatch.setattr(probes.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(probes, "geteuid", lambda: 0)
    monkeypatch.setattr(Path, "exists", lambda path: True)


SAID = (
    '{"type": "attached_probes", "data": {"probes": 2}}\nnonsense\n'
    '{"type": "map", "data": {"@": {"10.0.0.2,6379": 7}}}\n'
)


def test_what_bpftrace_counts(bpftrace):
    assert probe(1, Run(SAID)) == ({"10.0.0.2:6379": 7}, "")


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (Run(code=1, stderr="a\nERROR: no probe\n~~~\n"), "ERROR: no probe"),
        (Run(code=1, stderr="not allowed\n~~~\n"), "not allowed"),
        (Run(code=1), "bpftrace failed"),
        (Run(error=subprocess.TimeoutExpired("bpftrace", 1)), "did not come back"),
    ],
)
def test_why_bpftrace_could_not(bpftrace, run, why):
    found, note = probe(1, run)

    assert found == {}
    assert why in note


def test_what_is_missing_for_bpftrace(bpftrace, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert "CONFIG_DEBUG_INFO_BTF" in probe(1)[1]
    monkeypatch.setattr(probes, "geteuid", lambda: 1000)
    assert "needs root" in probe(1)[1]
    monkeypatch.setattr(probes.shutil, "which", lambda name: None)
    assert "apt-get install bpftrace" in probe(1)[1]


# The command.


def run(monkeypatch, sockets, *arguments, tree=None):
    def look(self, port, wait):
        return Machine(tree or Path("/nowhere"), lambda: sockets).look(port, wait)

    monkeypatch.setattr("megahertz.cli.doctor.Machine", lambda: type("M", (), {"look": look})())
    return CliRunner().invoke(main, ["doctor", "--seconds", "0", *arguments])


def test_a_port_on_which_nobody_listens(monkeypatch):
    done = run(monkeypatch, [], "80")

    assert done.exit_code == 3
    assert "nobody listens on port 80" in done.output


def test_nothing_is_found(monkeypatch):
    done = run(monkeypatch, [])

    assert done.exit_code == 0
    assert "nothing found" in done.output


def test_findings_for_people(monkeypatch, recorded):
    sockets = [Socket(state=State.LISTEN, local=("::", 80), inode=41, unsent=128)]
    done = run(monkeypatch, sockets, "80", tree=recorded)

    assert done.exit_code == 2
    assert "WARNING mhz 7 may open 512 files" in done.output
    assert "do:    prlimit --pid 7" in done.output


def test_findings_for_programs(monkeypatch, recorded):
    full = Socket(state=State.LISTEN, local=("::", 80), inode=41, unsent=128)
    (recorded / "proc/7/limits").write_text("Max open files  2 2 files\n")
    done = run(monkeypatch, [full], "80", "--json", tree=recorded)

    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert (said["port"], said["findings"][0]["severity"]) == (80, "critical")
    assert said["findings"][0]["check"] == "fd_limit"


def test_processes_of_others(monkeypatch):
    listener = Socket(state=State.LISTEN, local=("::", 80), inode=41, unsent=128)
    done = run(monkeypatch, [listener], "80")

    assert "run it as root" in done.output


def test_with_ebpf(monkeypatch):
    monkeypatch.setattr("megahertz.cli.doctor.probe", lambda seconds: ({"10.0.0.2:1": 3}, ""))
    assert "3 retransmissions to 10.0.0.2:1" in run(monkeypatch, [], "--ebpf").output
    monkeypatch.setattr("megahertz.cli.doctor.probe", lambda seconds: ({}, "eBPF was not used: no"))
    assert "not used: no" in run(monkeypatch, [], "--ebpf").output
