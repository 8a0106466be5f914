"""The Autobahn test suite against an echo, by a handler and by callbacks.

`MEGAHERTZ_AUTOBAHN=all pytest tests/conformance/test_autobahn.py` runs every case of it, as before
a release; otherwise it is all of RFC 6455 and a part of the larger messages and of compression.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from megahertz import App, WebSocket
from megahertz.settings import Limits
from megahertz.testing import Client

WSTEST = Path(__file__).parents[2] / ".venv-autobahn" / "bin" / "wstest"

RULES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
"""247 cases; three of them (7.13) only report."""

LARGE = ["9.1.*", "9.2.*", "9.7.*"]
COMPRESSED = [f"{group}.{kind}.{case}" for group, kinds in (("12", 5), ("13", 7))
              for kind in range(1, kinds + 1) for case in (2, 8)]  # fmt: skip
"""A small and a fragmented message of each kind of text and of each offer."""

WHOLE = ["9.*", "12.*", "13.*"]
LIMITS = Limits(message_bytes=32 << 20, unread_bytes=1 << 20)
ROOM = 64 << 20

pytestmark = pytest.mark.timeout(3600 if os.environ.get("MEGAHERTZ_AUTOBAHN") == "all" else 120)


def echo_app() -> App:
    app = App()

    @app.websocket("/handler", unsent_bytes=ROOM)
    async def echo(websocket: WebSocket):
        await websocket.accept()
        async for message in websocket:
            await websocket.send(message)

    @app.socket("/callbacks", unsent_bytes=ROOM)
    class Echo:
        async def received(self, websocket, message):
            await websocket.send(message)

    return app


@contextlib.contextmanager
def direct(server: int, folder: Path) -> Iterator[int]:
    """The server's own port."""
    yield server


@contextlib.contextmanager
def over_http2(server: int, folder: Path) -> Iterator[int]:
    """The port of an HAProxy that makes streams of WebSockets: Autobahn knows no HTTP/2."""
    haproxy = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if haproxy is None:
        pytest.fail("HAProxy is missing: run tests/servers.sh")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        plan = folder / "haproxy.cfg"
        plan.write_text(
            "defaults\n mode http\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n"
            " timeout tunnel 600s\n"
            f"listen streams\n bind fd@{listener.fileno()}\n"
            f" server megahertz 127.0.0.1:{server} proto h2 ws h2\n"
        )
        command = [haproxy, "-db", "-q", "-f", str(plan)]
        with subprocess.Popen(command, pass_fds=[listener.fileno()]) as proxy:
            try:
                yield listener.getsockname()[1]
            finally:
                proxy.terminate()


def run(path: str, cases: list[str], folder: Path, *, through=direct) -> dict[str, tuple[str, str]]:
    """What the suite found: how each case behaved, and how it closed."""
    if not WSTEST.exists():
        pytest.fail("Autobahn is missing: run tests/autobahn.sh")
    with Client(echo_app(), limits=LIMITS) as client, through(client.port, folder) as port:
        server = {"agent": "megahertz", "url": f"ws://127.0.0.1:{port}{path}"}
        plan = {"outdir": str(folder), "servers": [server], "cases": cases}
        plan |= {"exclude-cases": [], "exclude-agent-cases": {}}
        (folder / "plan.json").write_text(json.dumps(plan))
        command = [WSTEST, "-m", "fuzzingclient", "-s", folder / "plan.json"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    found = json.loads((folder / "index.json").read_text())["megahertz"]
    return {case: (result["behavior"], result["behaviorClose"]) for case, result in found.items()}


def wrong(found: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """NON-STRICT and UNIMPLEMENTED are wrong too."""
    fine = {"OK", "INFORMATIONAL"}
    return {case: both for case, both in found.items() if not set(both) <= fine}


@pytest.mark.parametrize("path", ["/handler", "/callbacks"])
def test_every_rule_of_rfc_6455_is_kept_strictly(path, tmp_path):
    found = run(path, RULES, tmp_path)
    assert wrong(found) == {}
    assert len(found) == 247


def test_every_rule_is_kept_over_http2(tmp_path):
    found = run("/handler", [*RULES, *COMPRESSED], tmp_path, through=over_http2)
    assert wrong(found) == {}
    assert len(found) == 247 + len(COMPRESSED)


def test_large_and_compressed_messages(tmp_path):
    whole = os.environ.get("MEGAHERTZ_AUTOBAHN") == "all"
    found = run("/callbacks", WHOLE if whole else [*LARGE, *COMPRESSED], tmp_path)
    assert wrong(found) == {}
    assert len(found) >= (270 if whole else 42)
