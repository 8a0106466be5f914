"""One fault a run, in a network namespace of its own: `unshare -n python faults.py NAME`.

Each breaks something of the namespace for real, looks with the doctor, and prints the names of
what it found, as JSON.
"""

import json
import os
import resource
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

from megahertz.observe.doctor import Machine, examine, reading

HELD = ExitStack()


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


def setting(name, value):
    Path("/proc/sys", name.replace(".", "/")).write_text(value)


def listener(backlog=4096, reuse=False):
    sock = HELD.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", 8000))
    sock.listen(backlog)
    return sock


def connected(count=1, port=8000):
    return [HELD.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]


def look(during=lambda: None):
    def wait():
        during()
        return 1.0

    return Machine().look(8000, wait)


def healthy():
    server = listener()
    connected(50)
    HELD.enter_context(server.accept()[0])
    return look()


def loss():
    """A shaper whose queue is too short: what bursts is lost."""
    run("ip", "link", "set", "lo", "mtu", "1500")
    run(
        "tc",
        "qdisc",
        "add",
        "dev",
        "lo",
        "root",
        "tbf",
        *["rate", "80mbit", "burst", "3kb", "limit", "8kb"],
    )
    server = listener()
    (client,) = connected()
    peer = HELD.enter_context(server.accept()[0])
    size = 2_000_000

    def transfer():
        reader = threading.Thread(target=lambda: [client.recv(size, socket.MSG_WAITALL)])
        reader.start()
        peer.sendall(b"x" * size)
        reader.join()

    return look(transfer)


def small_backlog():
    listener(backlog=1)

    def burst():
        for _ in range(40):
            client = HELD.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", 8000))

    return look(burst)


def flooded(reuse):
    setting("net.ipv4.ip_local_port_range", "20000 30999")
    setting("net.ipv4.tcp_tw_reuse", "1")
    server = listener()
    for _ in range(6000):
        client = socket.create_connection(("127.0.0.1", 8000))
        accepted, _ = server.accept()
        client.close()
        accepted.recv(1)
        accepted.close()
    setting("net.ipv4.tcp_tw_reuse", reuse)
    return look()


def time_wait():
    return flooded("1")


def tw_reuse():
    return flooded("0")


def fd_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    listener()
    return look()


def port_range():
    setting("net.ipv4.ip_local_port_range", "40000 40099")
    listener()
    return look()


def fin_timeout():
    setting("net.ipv4.tcp_fin_timeout", "600")
    listener()
    return look()


@contextmanager
def quota():
    """A group with a tenth of a processor, by whichever version of cgroups is there."""
    first = Path("/sys/fs/cgroup/cpu")
    folder = (first if first.is_dir() else Path("/sys/fs/cgroup")) / f"megahertz-{os.getpid()}"
    folder.mkdir()
    try:
        if first.is_dir():
            (folder / "cpu.cfs_period_us").write_text("20000")
            (folder / "cpu.cfs_quota_us").write_text("2000")
        else:
            (folder / "cpu.max").write_text("2000 20000")
        yield folder / "cgroup.procs"
    finally:
        folder.rmdir()


def throttling():
    """The server burns what it may and more; whoever looks is outside of its group."""
    server = listener()
    server.set_inheritable(True)
    with quota() as members:
        code = "import time\nwhile True: sum(range(1000))"
        busy = subprocess.Popen([sys.executable, "-c", code], close_fds=False)
        server.close()
        try:
            members.write_text(str(busy.pid))
            spent = Path(f"{members.parent}/cpu.stat")

            def until_stopped(times):
                while reading.throttling(spent.read_text())[1] < times:
                    os.sched_yield()

            until_stopped(1)
            return look(lambda: until_stopped(4))
        finally:
            busy.kill()
            busy.wait()


WORKER = """
import socket, sys
server = socket.socket(fileno=int(sys.argv[1]))
held = []
print("ready", flush=True)
for _ in range(int(sys.argv[3])):
    connection, _ = server.accept()
    held.append(connection)
    if sys.argv[2] == "leaves":
        held.clear()
"""


def balance():
    """Three workers, of which two lose their connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    workers = []
    for role in ("keeps", "leaves", "leaves"):
        server = listener(reuse=True)
        server.set_inheritable(True)
        command = [sys.executable, "-c", WORKER, str(server.fileno()), role, "100000"]
        worker = subprocess.Popen(command, pass_fds=[server.fileno()], stdout=subprocess.PIPE)
        worker.stdout.readline()
        server.close()
        workers.append(worker)
    clients = connected(900)
    gone = 0
    try:
        # Those of the workers that leave end; some 600 of them, by the hash.
        while gone < 300:
            gone = sum(_ended(client) for client in clients)
        return look()
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _ended(client):
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def unread():
    server = listener()
    (client,) = connected()
    HELD.enter_context(server.accept()[0])
    client.sendall(b"x" * 200_000)
    return look()


def unclosed():
    server = listener()
    for client in connected(150):
        HELD.enter_context(server.accept()[0])
        client.close()
    return look()


if __name__ == "__main__":
    run("ip", "link", "set", "lo", "up")
    with HELD:
        facts = globals()[sys.argv[1]]()
    # How this Python was built is nothing that was broken here.
    findings = [it for it in examine(facts) if it.check != "unprofiled"]
    found = [[it.check, it.severity.name, it.evidence] for it in findings]
    print(json.dumps({"found": found, "notes": facts.notes}))
