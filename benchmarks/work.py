"""What is asked of the servers, and of which: one table of works."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.peer import CLIENTS_ON_OURS, FLOOR, OURS, RUEIDIS

GO = ("net/http", "fasthttp", "Hertz", "Gin")
PYTHON = ("granian RSGI", "granian ASGI", "uvicorn", "socketify", "Robyn", "Litestar", "FastAPI")
BLOB = bytes(range(256)) * 256


@dataclass(frozen=True)
class Ask:
    """One request and the answer that it must have.

    Attributes:
        target: path and query.
        body: JSON to post; None is a GET.
        answer: JSON, or the exact bytes; None: any answer, only its status counts.
        refused: the status is to be 4xx instead of 2xx.
    """

    target: str = "/"
    body: bytes | None = None
    answer: Any = None
    refused: bool = False


@dataclass(frozen=True)
class Point:
    """A load: so many connections, each with so many requests on their way at once."""

    connections: int = 64
    pipeline: int = 1
    seconds: float | None = None

    @property
    def name(self) -> str:
        """As in results."""
        return (
            f"{self.connections}" if self.pipeline == 1 else f"{self.connections}x{self.pipeline}"
        )


@dataclass(frozen=True)
class Work:
    """One comparison.

    Attributes:
        name: of the result's file, and of WORK=.
        what: for readers.
        asks: the first is what is measured; all are verified first.
        peers: by name.
        points: loads, each measured by itself.
        rounds: of each point.
        seconds: of each peer in each round.
        redis: what is started for it: "one" or a "cluster".
    """

    name: str
    what: str
    asks: tuple[Ask, ...]
    peers: tuple[str, ...]
    points: tuple[Point, ...] = (Point(),)
    rounds: int = 5
    seconds: float = 1.0
    redis: str = ""


def order(number: object = 7) -> dict[str, Any]:
    """Exactly 1,024 bytes of JSON when encoded by `compact`, for a number of one digit."""
    lines = [
        {"sku": 1000 + index, "name": f"article number {index}", "count": index + 1, "price": 9.95}
        for index in range(10)
    ]
    found = {"id": number, "user": "jane@example.org", "paid": True, "total": 547.25}
    found |= {"note": "", "tags": ["new", "gift", "express"], "lines": lines}
    found["note"] = "n" * (1024 - len(compact(found | {"id": 7})))
    return found


def compact(value: object) -> bytes:
    """JSON without white space."""
    return json.dumps(value, separators=(",", ":")).encode()


HELLO = Ask(answer={"msg": "ok"})


def _item(sku: int, full: bool, limit: int) -> Ask:
    query = f"full={'true' if full else 'false'}&limit={limit}"
    return Ask(f"/items/{sku}?{query}", answer={"sku": sku, "full": full, "limit": limit})


def _order(number: int) -> Ask:
    return Ask("/orders", compact(order(number)), order(number))


ITEMS = (_item(7, True, 20), _item(12345, False, 3))
ORDERS = (_order(7), _order(8), Ask("/orders", compact(order("seven")), refused=True))


def _hosted(name: str) -> tuple[str, ...]:
    return tuple(f"{name} on {server}" for server in ("granian", "uvicorn", *OURS))


_LISTED = (
    Work(
        "hello",
        "GET / with a JSON answer of 12 bytes",
        (HELLO,),
        (FLOOR, *GO, "Node http", *PYTHON, *OURS),
        rounds=7,
        seconds=2.0,
    ),
    Work(
        "params",
        "a path parameter and two of the query, typed, back as JSON",
        ITEMS,
        ("net/http", "fasthttp", "Hertz", "Gin", "Node http", *PYTHON, *OURS),
    ),
    Work(
        "post",
        "POST of 1,024 bytes of JSON, checked against types and encoded again",
        ORDERS,
        (*GO, "Node http", *PYTHON, *OURS),
    ),
    Work(
        "blob",
        "an answer of 64 KiB from memory",
        (Ask("/blob", answer=BLOB),),
        ("net/http", "fasthttp", "Hertz", "Node http", *PYTHON[:4], *OURS),
    ),
    Work(
        "governed",
        "GET / with every protection on, and with none",
        (HELLO,),
        (FLOOR, "fasthttp", *(f"{name} on {it}" for name in ("open", "governed") for it in OURS)),
        rounds=7,
        seconds=2.0,
    ),
    Work(
        "observed",
        "GET / with metrics, 1 % of traces and sampled logs, and with none",
        (HELLO,),
        (FLOOR, "fasthttp", *(f"{name} on {it}" for name in ("open", "observed") for it in OURS)),
        rounds=7,
        seconds=2.0,
    ),
    Work(
        "file",
        "a file of 64 KiB",
        (Ask("/files/64k.bin", answer=BLOB),),
        ("nginx", *OURS),
    ),
    Work(
        "download",
        "a file of 10 MiB",
        (Ask("/files/10m.bin", answer=BLOB * 160),),
        ("nginx", *OURS),
        (Point(16),),
        seconds=2.0,
    ),
    Work(
        "pipelined",
        "hello, 16 requests on their way on each connection",
        (HELLO,),
        (FLOOR, "net/http", "fasthttp", "Hertz", "Node http", *PYTHON[:4], *OURS),
        (Point(pipeline=16),),
    ),
    Work(
        "sleep",
        "a handler that awaits asyncio.sleep(0) (Go: Gosched, Node: setImmediate)",
        (Ask("/yield", answer={"msg": "ok"}),),
        ("net/http", "fasthttp", "Node http", *PYTHON[:4], "FastAPI", *OURS),
    ),
    Work(
        "redis",
        "a handler that awaits a GET of a Redis "
        "(Python: redis-py and hiredis, Go: go-redis or rueidis, ours: the engine's link, or the "
        "client that is named)",
        (Ask("/redis", answer={"msg": "ok"}),),
        ("net/http", "fasthttp", RUEIDIS, "Hertz", *PYTHON[:3], "FastAPI", *CLIENTS_ON_OURS, *OURS),
        redis="one",
    ),
    Work(
        "redis-pipeline",
        "a handler that awaits 100 GETs of a Redis in one pipeline",
        (Ask("/pipeline", answer={"found": 100}),),
        ("fasthttp", RUEIDIS, *CLIENTS_ON_OURS, *OURS),
        redis="one",
    ),
    Work(
        "redis-cluster",
        "a handler that awaits a GET of one of 1,000 keys of a Redis Cluster of three masters and "
        "three replicas",
        (Ask("/cluster", answer={"msg": "ok"}),),
        ("fasthttp", RUEIDIS, *CLIENTS_ON_OURS, *OURS),
        redis="cluster",
    ),
    Work(
        "fastapi",
        "one FastAPI application, with a path and two query parameters, on three servers",
        ITEMS,
        _hosted("FastAPI"),
    ),
    Work("starlette", "the same in Starlette", ITEMS, _hosted("Starlette")),
    Work("asgi", "hello as a plain ASGI application", (HELLO,), _hosted("ASGI")),
    Work(
        "connections",
        "hello by the number of connections, at 10,000 for 4 s",
        (HELLO,),
        (FLOOR, "net/http", "fasthttp", "granian RSGI", *OURS),
        (*map(Point, (1, 16, 64, 256, 1000)), Point(10_000, seconds=4.0)),
    ),
    Work(
        "idle",
        "open connections on which nothing happens",
        (HELLO,),
        (FLOOR, *GO, "Node http", *PYTHON[:5], *OURS),
        (Point(10_000),),
        rounds=1,
        seconds=3.0,
    ),
)

WORKS: Mapping[str, Work] = {work.name: work for work in _LISTED}
"""By name, in the order of the pages."""
