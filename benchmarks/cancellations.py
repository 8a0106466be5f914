"""A hundred thousand handlers that are cancelled: `python -m benchmarks.cancellations`.

Half of them by a deadline of 20 ms, half by clients that reset their connection. Each handler waits
for ever and notes when it was told, that its clean-up ran, and how often. Afterwards nothing may
run, and the memory is what it was after the first thousand.
"""

import json
import selectors
import socket
import struct
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.limits import raise_limits
from benchmarks.peer import Peer, imports, mhz_run
from benchmarks.result import about, said, save
from benchmarks.server import Server, started
from megahertz.load import pair, pinned

APP = """
import asyncio, time
from megahertz import App, Policy, cancel_reason, deadline

app = App()
begun, cleaned, reasons, late = 0, 0, {}, []

async def wait() -> None:
    global begun, cleaned
    begun += 1
    left = deadline()
    end = None if left is None else time.monotonic() + left
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if end is not None:
            late.append(time.monotonic() - end)
        reasons[cancel_reason()] = reasons.get(cancel_reason(), 0) + 1
        raise
    finally:
        cleaned += 1

@app.get("/late", policy=Policy(deadline=0.02))
async def expired() -> None:
    await wait()

@app.get("/gone")
async def left() -> None:
    await wait()

@app.get("/")
async def counts() -> dict:
    found = sorted(late) or [0.0]
    tasks = len(asyncio.all_tasks()) - 1
    return {"begun": begun, "cleaned": cleaned, "reasons": reasons, "tasks": tasks,
            "p50": found[len(found) // 2], "p99": found[len(found) * 99 // 100], "most": found[-1]}
"""

ONCE = 100
"""Handlers at a time."""


def expire(address: tuple[str, int], count: int) -> None:
    """So many requests whose deadline ends them, each connection one after the other."""
    request = b"GET /late HTTP/1.1\r\nhost: a\r\n\r\n"
    poll, left = selectors.DefaultSelector(), count
    for _ in range(min(ONCE, count)):
        sock = socket.create_connection(address)
        sock.sendall(request)
        poll.register(sock, selectors.EVENT_READ)
    asked = min(ONCE, count)
    while left:
        for key, _ in poll.select():
            sock: Any = key.fileobj
            if b" 504 " not in sock.recv(65536):
                raise SystemExit("an answer that is no 504")
            left -= 1
            if asked < count:
                sock.sendall(request)
                asked += 1
            else:
                poll.unregister(sock)
                sock.close()


def leave(address: tuple[str, int], count: int) -> None:
    """So many requests whose clients are gone before any answer."""
    before = counts(address)
    for begun in range(0, count, ONCE):
        socks = [socket.create_connection(address) for _ in range(min(ONCE, count - begun))]
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.sendall(b"GET /gone HTTP/1.1\r\nhost: a\r\n\r\n")
        wait(address, before["begun"] + begun + len(socks), "begun")
        for sock in socks:
            sock.close()
        wait(address, before["cleaned"] + begun + len(socks), "cleaned")


def wait(address: tuple[str, int], count: int, name: str) -> None:
    """Returns once the server has counted so many."""
    while counts(address)[name] < count:
        pass


def counts(address: tuple[str, int]) -> dict[str, Any]:
    """What the handlers have noted."""
    with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/", timeout=20) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def run(server: Server, count: int) -> dict[str, Any]:
    """Both halves, and what is left of them."""
    address = ("127.0.0.1", server.port)
    expire(address, ONCE * 2)
    settled = server.usage().rss
    expire(address, count // 2 - ONCE * 2)
    leave(address, count - count // 2)
    return counts(address) | {"grown": server.usage().rss - settled}


def table(found: Any) -> list[str]:
    """The result in Markdown."""
    noted = found["noted"]
    rows = [
        ("handlers begun, and cleaned up", f"{noted['begun']:,} and {noted['cleaned']:,}"),
        *((f"cancelled because: {why}", f"{n:,}") for why, n in noted["reasons"].items()),
        ("behind the deadline: median", f"{noted['p50'] * 1e3:.1f} ms"),
        ("P99", f"{noted['p99'] * 1e3:.1f} ms"),
        ("most", f"{noted['most'] * 1e3:.1f} ms"),
        ("tasks left", f"{noted['tasks']}"),
        ("memory grown since the first thousand", f"{noted['grown'] / 1e6:.1f} MB"),
    ]
    lines = ["| what | counted |", "|---|---:|", *(f"| {a} | {b} |" for a, b in rows)]
    how = f"`python -m benchmarks.cancellations`, {said(found)}; {ONCE} handlers at a time."
    return [*lines, "", how]


@click.command()
@click.option("--count", default=100_000, show_default=True, help="Handlers.")
@click.option("--save", "keep", is_flag=True, help="Write it to benchmarks/results.")
def main(count: int, keep: bool) -> None:
    """Cancels handlers, and counts what is left of them."""
    raise_limits(ONCE)
    with TemporaryDirectory() as folder:
        Path(folder, "cancelled_app.py").write_text(APP)
        command = mhz_run("cancelled_app:app")
        environment = imports(folder)
        peer = Peer("cancelled", lambda: command, environment)
        cores = pair()
        with started(peer, {}) as server, pinned(cores[1] if cores else None):
            found = about("cancellations") | {"noted": run(server, count)}
    click.echo("\n".join(table(found)))
    if keep:
        click.echo(save(found))


if __name__ == "__main__":
    main()
