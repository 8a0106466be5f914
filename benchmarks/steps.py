"""Requests through the engine, so many: what `benchmarks/micro.py` counts instructions of.

`python -m benchmarks.steps CASE TIMES`. One process is server and client: it writes a batch of
pipelined requests, lets the loop turn, and reads the answers. The kernel's work on the socket is
not counted (valgrind sees user space alone), so what remains is bytes in, bytes out. The client's
share is the same in every case, and goes out where two cases are subtracted.
"""

import asyncio
import gc
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.peers.python.governed import EVERYTHING
from benchmarks.peers.python.shop import Order
from benchmarks.work import compact, order
from megahertz import App, Router, Shed
from megahertz.engine import Endpoint, Route, Server
from megahertz.http.asgi import AsgiHost, Receive, Send
from megahertz.observe import Logs, Tracing

BATCH = 64
"""Requests in one write."""

TARGETS = {
    "request": "GET /",
    "value": "GET /value",
    "coroutine": "GET /coroutine",
    "json": "GET /json",
    "unbound": "GET /unbound/42?full=true&limit=20",
    "bound": "GET /bound/42?full=true&limit=20",
    "post": "POST /orders",
    "asgi": "GET /asgi",
    "traced": "GET /traced",
    "logged": "GET /logged",
    "governed": "GET /governed",
    "waiting": "GET /waiting",
}
"""What each case asks for. `value` is the least: a function that returns bytes; the others have
one thing more than it, or than one of them."""

BYTES = b'{"msg":"ok"}'


async def plain(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The least that an ASGI application can do."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"12")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BYTES})


class Steps(App):
    """An application whose routes are partly those of the engine itself, with nothing around."""

    @property
    def routes(self) -> Sequence[Route]:
        """The bare ones, then what is declared below."""
        raw = {"/value": value, "/coroutine": coroutine, "/json": json, "/unbound/{sku}": coroutine}
        return [
            *(
                Route(methods=("GET",), pattern=pattern, endpoint=endpoint, bare=True)
                for pattern, endpoint in raw.items()
            ),
            *super().routes,
        ]

    @property
    def fallback(self) -> Endpoint:
        """What answers where no route does: a plain ASGI application."""
        return AsgiHost(plain).fallback


def value() -> bytes:
    return BYTES


async def coroutine() -> bytes:
    return BYTES


def json() -> dict[str, str]:
    return {"msg": "ok"}


app = Steps()


@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}


@app.get("/waiting")
async def waiting() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"msg": "ok"}


@app.get("/bound/{sku}")
async def bound(sku: int, full: bool = False, limit: int = 10) -> bytes:
    return BYTES


@app.post("/orders")
async def posted(order: Order) -> Order:
    return order


traced = Router(layers=[Tracing(0.0)])
logged = Router(layers=[Logs()])


@traced.get("/traced")
@logged.get("/logged")
async def observed() -> dict[str, str]:
    return {"msg": "ok"}


app.include(traced)
app.include(logged)


PATIENT = replace(EVERYTHING, deadline=600.0, shed=Shed(lag=60.0, interval=600.0))
"""valgrind is fifty times slower than the machine."""


@app.get("/governed", policy=PATIENT)
async def governed() -> dict[str, str]:
    return {"msg": "ok"}


async def run(target: str, times: int) -> None:
    """So many requests of it, a multiple of `BATCH`."""
    listener = socket.create_server(("127.0.0.1", 0))
    async with Server(app, [listener]):
        client = socket.create_connection(listener.getsockname())
        client.setblocking(False)
        batch = request(target) * BATCH
        for _ in range(times // BATCH):
            client.send(batch)
            await _answers(client)
        client.close()


def request(target: str) -> bytes:
    """Its bytes; a POST has 1 KiB of JSON."""
    body = compact(order()) if target.startswith("POST") else b""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{target} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n".encode() + body


async def _answers(client: socket.socket) -> None:
    seen = 0
    while seen < BATCH:
        await asyncio.sleep(0)
        try:
            data = client.recv(1 << 16)
        except BlockingIOError:
            continue
        good = data.count(b"HTTP/1.1 200 ")
        if not data or data.count(b"HTTP/1.1 ") != good:
            raise SystemExit(f"no answer, or a wrong one: {data[:100]!r}")
        seen += good


if __name__ == "__main__":
    gc.disable()  # its turns would fall into one run and not into the other
    asyncio.run(run(TARGETS[sys.argv[1]], int(sys.argv[2])))
