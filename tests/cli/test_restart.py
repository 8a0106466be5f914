"""Hot restart, killed workers, drain: what the clients of a real server see of them."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.http.peer import CLOSE, TEXT, Peer

ANY = ("--host", "127.0.0.1", "--port", "0")

SHOP = """
import asyncio, os
from pathlib import Path
from megahertz import App, Events, Rooms, WebSocket

rooms = Rooms()
app = App(resources=[rooms])

if Path("broken").exists():
    raise RuntimeError("broken on purpose")
VERSION = Path("version").read_text() if Path("version").exists() else "1"

@app.get("/")
async def hello() -> dict[str, int]:
    return {"pid": os.getpid()}

@app.get("/version")
async def version() -> str:
    return VERSION

@app.get("/wait")
async def wait() -> str:
    Path("entered").touch()
    while not Path("leave").exists():
        await asyncio.sleep(0.01)
    return "done"

@app.get("/events")
async def events() -> Events:
    async def forever():
        yield "hello"
        await asyncio.Event().wait()
    return Events(forever())

@app.get("/big")
async def big() -> int:
    app.state.big = bytearray(200 * 1024 * 1024)
    return os.getpid()

@app.socket("/chat")
class Chat:
    async def opened(self, websocket: WebSocket):
        await websocket.accept()
        rooms["all"].join(websocket)
        await websocket.send(str(os.getpid()))

    async def received(self, websocket, message):
        await rooms["all"].broadcast(message)

@app.websocket("/deaf")
async def deaf(websocket: WebSocket):
    await websocket.accept()
    await asyncio.Event().wait()
"""


class Port:
    """What peers connect to."""

    def __init__(self, served):
        self.number = int(served.url.rsplit(":", 1)[1])

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.number), 20)


def reload(target, cwd=None):
    arguments = [sys.executable, "-m", "megahertz", "reload", str(target)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, cwd=cwd)


@pytest.fixture
def shop(serve, tmp_path):
    (tmp_path / "live.py").write_text(SHOP)

    def start(*arguments, **env):
        return serve("live:app", *ANY, *arguments, **env).wait_for_url()

    return start


class Chatter(threading.Thread):
    """Sits in the room, says something, hears it; comes back when it is told 1012."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.over = threading.Event()
        self.heard = 0
        self.closes = []
        self.failures = []

    def run(self):
        while not self.over.is_set():
            try:
                with Peer(self.port, "/chat") as peer:
                    self._chat(peer)
            except Exception as error:
                self.failures.append(repr(error))

    def _chat(self, peer):
        said = None
        while not self.over.is_set():
            opcode, payload = peer.receive()
            if opcode == CLOSE:
                self.closes.append(int.from_bytes(payload[:2], "big"))
                peer.send(CLOSE, payload)
                peer.rest()
                return
            if said in (None, payload):
                self.heard += said is not None
                said = f"{id(self)} {self.heard}".encode()
                peer.send(TEXT, said)

    def end(self):
        self.over.set()
        self.join(20)


def interrupt(process):
    process.send_signal(signal.SIGINT)
    process.wait(60)


def test_ten_hot_restarts_under_load_fail_nobody(shop, tmp_path):
    served = shop("--workers", "2")
    port = Port(served)
    report = tmp_path / "report.json"
    options = ["-d", "100", "-c", "32", "--warmup", "0", "--json", str(report)]
    load = subprocess.Popen(
        [sys.executable, "-m", "megahertz", "load", served.url, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    chatters = [Chatter(port) for _ in range(4)]
    for chatter in chatters:
        chatter.start()
    pids = set()
    try:
        for _ in range(10):
            assert reload(served.process.pid).returncode == 0
            pids.add(json.loads(served.get("/"))["pid"])
    finally:
        for chatter in chatters:
            chatter.end()
        interrupt(load)

    assert len(pids) == 10
    result = json.loads(report.read_text())
    assert (result["ok"], result["failures"], result["troubles"]) == (True, {}, {})
    assert result["connects"] > 32
    assert [chatter.failures for chatter in chatters] == [[]] * 4
    assert {code for chatter in chatters for code in chatter.closes} == {1012}
    assert min(chatter.heard for chatter in chatters) > 10
    assert served.end() == 0


def test_sighup_restarts_with_the_code_on_the_disk(shop, until):
    served = shop("--supervise")
    assert served.get("/version") == b"1"

    (served.directory / "version").write_text("2")
    served.process.send_signal(signal.SIGHUP)

    until(lambda: served.get("/version") == b"2")
    assert served.end() == 0


def test_who_asks_several_times_gets_what_was_asked_for_last(shop, until):
    served = shop("--supervise")
    restarts = [threading.Thread(target=reload, args=(served.process.pid,)) for _ in range(4)]
    for restart in restarts:
        restart.start()
    (served.directory / "version").write_text("2")
    assert reload(served.process.pid).returncode == 0

    assert served.get("/version") == b"2"
    for restart in restarts:
        restart.join(20)
    assert served.end() == 0
    assert served.process.stderr.read().count("hot restart of") <= 5


def test_a_stop_in_the_middle_of_a_hot_restart_ends_everything(shop, until):
    served = shop("--workers", "2")
    (served.directory / "live.py").write_text(
        "import os, time\nfrom pathlib import Path\n"
        "Path(f'{os.getpid()}.hangs').touch()\ntime.sleep(1000)"
    )
    served.process.send_signal(signal.SIGHUP)
    hanging = until(lambda: list(served.directory.glob("*.hangs")))

    assert served.end() == 0

    assert not any(os.path.exists(f"/proc/{file.stem}") for file in hanging)


def test_code_that_does_not_start_changes_nothing(shop):
    served = shop("--workers", "2")
    before = json.loads(served.get("/"))["pid"]

    (served.directory / "broken").touch()
    told = reload(Port(served).number)

    assert told.returncode == 1
    assert "the old ones stay" in told.stderr
    pids = {json.loads(served.get("/"))["pid"] for _ in range(32)}
    assert before in pids
    assert len(pids) == 2
    (served.directory / "broken").unlink()
    assert reload(f":{Port(served).number}").returncode == 0
    assert served.end() == 0
    assert "broken on purpose" in served.process.stderr.read()


def test_one_worker_that_does_not_start_costs_the_others_nothing(shop, until):
    """The one that did start must leave the socket to its predecessor."""
    served = shop("--workers", "2")
    pids = until(lambda: _both(served))
    (served.directory / "live.py").write_text(
        SHOP + "import os, time\n"
        "if os.environ['MEGAHERTZ_WORKER'] == '1':\n"
        "    while not Path('leave').exists(): time.sleep(0.01)\n"
        "    raise RuntimeError('only this one')\n"
    )
    restart = threading.Thread(target=reload, args=(served.process.pid,))
    restart.start()
    until(lambda: json.loads(served.get("/"))["pid"] not in pids)  # it shares the queue already
    (served.directory / "leave").touch()
    restart.join(20)

    assert until(lambda: _both(served)) == pids
    assert served.end() == 0


def _both(served):
    found = {json.loads(served.get("/"))["pid"] for _ in range(64)}
    return found if len(found) == 2 else None


def test_what_runs_ends_on_the_old_worker(shop, until):
    served = shop("--supervise")
    answers = []
    request = threading.Thread(target=lambda: answers.append(served.get("/wait")))
    request.start()
    until((served.directory / "entered").exists)

    (served.directory / "version").write_text("2")
    assert reload(served.process.pid).returncode == 0
    assert served.get("/version") == b"2"
    (served.directory / "leave").touch()
    request.join(20)

    assert answers == [b"done"]
    assert served.end() == 0


def test_an_exclusive_worker_ends_before_its_successor_starts(serve, tmp_path):
    """As with a journal, which one process holds; requests wait meanwhile."""
    (tmp_path / "only.py").write_text(
        "import fcntl, os\n"
        "from contextlib import asynccontextmanager\n"
        "from megahertz import App\n"
        "@asynccontextmanager\n"
        "async def lifespan(app):\n"
        "    with open('lock', 'w') as file:\n"
        "        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "        yield\n"
        "app = App(lifespan=lifespan)\n"
        "@app.get('/')\n"
        "async def pid() -> int: return os.getpid()\n"
    )
    served = serve("only:app", *ANY, "--supervise").wait_for_url()
    assert reload(served.process.pid).returncode == 1, "the lock does not hold"
    assert served.end() == 0

    served = serve("only:app", *ANY, "--supervise", "--exclusive").wait_for_url()
    before = served.get("/")
    restart = threading.Thread(target=reload, args=(served.process.pid,))
    restart.start()
    answers = set()
    while restart.is_alive():
        answers.add(served.get("/"))
    restart.join()
    answers.add(served.get("/"))
    assert before in answers
    assert len(answers) == 2
    assert served.end() == 0


def test_the_queue_of_a_killed_worker_is_answered_by_its_successor(shop, until):
    """It is stopped first, so that what comes can only wait. `benchmarks.restart` says how long."""
    served = shop("--supervise")
    pid = json.loads(served.get("/"))["pid"]
    os.kill(pid, signal.SIGSTOP)
    port = Port(served)
    waiting = [port.connect() for _ in range(20)]
    for sock in waiting:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    os.kill(pid, signal.SIGKILL)
    answers = [b"".join(iter(lambda s=sock: s.recv(4096), b"")) for sock in waiting]

    for sock in waiting:
        sock.close()
    found = {json.loads(answer.partition(b"\r\n\r\n")[2])["pid"] for answer in answers}
    assert len(found) == 1
    assert found != {pid}
    assert served.end() == 0


def test_the_others_never_stop_when_a_worker_is_killed(shop, until):
    served = shop("--workers", "2")
    port = Port(served)
    kept = {}
    while len(kept) < 2:
        connection = http.client.HTTPConnection("127.0.0.1", port.number, timeout=20)
        pid = _pid(connection)
        if pid in kept:
            connection.close()
        else:
            kept[pid] = connection
    victim, survivor = kept

    os.kill(victim, signal.SIGKILL)
    with contextlib.suppress(ConnectionResetError):
        assert kept[victim].sock.recv(1) == b"", "it is dead"

    until(lambda: json.loads(served.get("/"))["pid"] not in (victim, survivor))
    assert _pid(kept[survivor]) == survivor
    for connection in kept.values():
        connection.close()
    assert served.end() == 0


def _pid(connection):
    connection.request("GET", "/")
    return json.loads(connection.getresponse().read())["pid"]


def test_sigterm_to_a_worker_gets_it_a_successor(shop, until):
    served = shop("--supervise")
    with Peer(Port(served), "/chat") as peer:
        pid = int(peer.text())
        os.kill(pid, signal.SIGTERM)
        assert peer.closed() == (1012, "service restart")
    assert json.loads(served.get("/"))["pid"] != pid
    assert served.end() == 0
    assert "is replaced" in served.process.stderr.read()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_streams_and_sockets_do_not_hold_up_a_stop(shop, workers):
    """The best-known hang of ASGI servers; what they see comes long before the grace is over."""
    options = ("--grace", "100", "--close-spread", "0.2", "--limit", "close_timeout=0.5")
    served = shop("--workers", workers, *options)
    port = Port(served)
    streams = [port.connect() for _ in range(4)]
    for stream in streams:
        stream.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        while b"hello" not in stream.recv(4096):
            pass
    peers = [Peer(port, path) for path in ("/chat", "/deaf") * 4]

    assert served.end() == 0

    for stream in streams:
        assert stream.makefile("rb").read().endswith(b"0\r\n\r\n")
        stream.close()
    for number, peer in enumerate(peers):
        if number % 2 == 0:
            peer.text()
        assert peer.receive()[1][:2] == (1012).to_bytes(2, "big")
        peer.socket.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_grace_bounds_what_never_ends(shop, until, workers):
    served = shop("--workers", workers, "--grace", "0.2")
    with Port(served).connect() as peer:
        peer.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        until((served.directory / "entered").exists)

        assert served.end() == 0
        assert peer.recv(4096) == b""


def test_a_worker_that_holds_too_much_memory_is_replaced(shop, until):
    served = shop("--worker-memory", "150MiB")
    pid = int(served.get("/big"))

    until(lambda: json.loads(served.get("/"))["pid"] != pid)

    assert served.end() == 0
    assert "MiB: it is replaced" in served.process.stderr.read()


def test_several_workers_share_a_unix_socket(serve, tmp_path):
    (tmp_path / "live.py").write_text(SHOP)
    served = serve("live:app", "--host", "unix:sock", "--workers", "2")
    assert "unix:sock (2 workers)" in served.process.stdout.readline()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(tmp_path / "sock"))
        peer.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"".join(iter(lambda: peer.recv(4096), b"")).endswith(b"\r\n\r\n1")
    assert served.end() == 0
    assert not (tmp_path / "sock").exists()


def test_a_pid_file_names_the_supervisor(shop):
    served = shop("--supervise", "--pid-file", "shop.pid")

    told = reload("shop.pid", cwd=served.directory)

    assert (told.returncode, told.stdout) == (0, "the new workers serve\n")
    assert served.end() == 0
    assert not (served.directory / "shop.pid").exists()


def test_a_server_without_a_supervisor_says_what_it_lacks(shop):
    served = shop()
    told = reload(Port(served).number)
    assert told.returncode == 2
    assert "mhz run --supervise" in told.stderr
    assert "no supervisor" in reload(served.process.pid + 100_000).stderr

    served.process.send_signal(signal.SIGHUP)
    assert served.get("/version") == b"1"
    assert served.end() == 0
    assert "mhz run --supervise" in served.process.stderr.read()


@pytest.mark.parametrize(
    ("target", "told"),
    [("none.pid", "No such file"), ("words.pid", "no process id"), (":1", "nothing of yours")],
)
def test_what_cannot_be_reloaded_is_said(tmp_path, target, told):
    (tmp_path / "words.pid").write_text("hello")
    found = reload(target, cwd=tmp_path)
    assert found.returncode == 2
    assert told in found.stderr
