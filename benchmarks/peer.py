"""Who is compared: a C floor, servers of Go, Python and Node, and us."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.build import (
    ROOT,
    compiled,
    go,
    go_module,
    go_version,
    guided,
    package,
    python,
    says,
    tool,
)
from benchmarks.peers.python.folder import folder

OURS = ("megahertz", "megahertz uvloop")
FLOOR = "floor"
RUEIDIS = "fasthttp rueidis"
CLIENTS = {"redis-py": ("redis", "hiredis"), "coredis": ("coredis",), "glide": ("valkey-glide",)}
"""Other clients of Redis, by BENCH_CLIENT, that our own server is measured with."""
CLIENTS_ON_OURS = tuple(f"megahertz {client}" for client in CLIENTS)
PACKAGE = "benchmarks.peers.python"


@dataclass(frozen=True)
class Peer:
    """One server.

    Attributes:
        name: in tables and results; `application on server` where an application is compared.
        build: gives the command; `{port}` in it is filled in.
        environment: added to ours.
        version: what was measured, asked after the build.
    """

    name: str
    build: Callable[[], list[str]]
    environment: dict[str, str] = field(default_factory=dict)
    version: Callable[[], str] = lambda: ""

    @property
    def is_ours(self) -> bool:
        """Whether megahertz serves it."""
        return self.name.rpartition(" on ")[2] in OURS


def peers() -> dict[str, Peer]:
    """All by name, the floor first, ours last."""
    listed = [
        Peer(FLOOR, lambda: [compiled("floor"), "{port}"], version=lambda: says("cc", "--version")),
        _go("net/http", "nethttp", go_version),
        _go("fasthttp", "fasthttp", lambda: go_module("github.com/valyala/fasthttp")),
        _go(RUEIDIS, "fasthttp", lambda: go_module("github.com/redis/rueidis"), "rueidis"),
        _go("Hertz", "hertz", lambda: go_module("github.com/cloudwego/hertz")),
        _go("Gin", "gin", lambda: go_module("github.com/gin-gonic/gin")),
        Peer(
            "nginx",
            lambda: nginx("nginx.conf", folder()),
            version=lambda: says("nginx", "-v"),
        ),
        Peer("Node http", _node, version=lambda: says("node", "--version")),
        _granian("granian RSGI", "rsgi", "rsgi"),
        _granian("granian ASGI", "asginl", "asgi"),
        _uvicorn("uvicorn", "asgi"),
        _alone("socketify", "on_socketify"),
        _alone("Robyn", "on_robyn", "--log-level", "WARN", versions=("robyn", "uvloop")),
        _uvicorn("Litestar", "on_litestar", "litestar"),
        _uvicorn("FastAPI", "on_fastapi", "fastapi"),
        *_ours("ours", ""),
        *(_client(client, *packages) for client, packages in CLIENTS.items()),
    ]
    for name in ("open", "governed", "observed"):
        listed += _ours(name, f"{name} on ")
    for name, module in (
        ("ASGI", "asgi"),
        ("Starlette", "on_starlette"),
        ("FastAPI", "on_fastapi"),
    ):
        versions = () if name == "ASGI" else (name.lower(),)
        listed += [
            _granian(f"{name} on granian", "asgi", module, *versions),
            _uvicorn(f"{name} on uvicorn", module, *versions),
            *_ours(module, f"{name} on ", *versions),
        ]
    return {peer.name: peer for peer in listed}


def mhz_run(app: str, *options: str, interpreter: str = sys.executable) -> list[str]:
    """The command of `mhz run` of an application."""
    return [interpreter, "-m", "megahertz", "run", app, "--port", "{port}", *options]


def imports(*folders: str | Path) -> dict[str, str]:
    """What a process needs in its environment to find this megahertz, and what lies in folders."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *map(str, folders)])}


def chosen(names: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Those of `names` that some wanted text is part of, and always ours; all, if none is wanted.

    Raises:
        ValueError: a wanted text is part of no peer's name.
    """
    texts = [text.strip().lower() for text in wanted if text.strip()]
    for text in texts:
        if not any(text in name.lower() for name in peers()):
            raise ValueError(f"no peer is called {text}; there are {', '.join(peers())}")
    known = peers()
    return [
        name
        for name in names
        if not texts or known[name].is_ours or any(text in name.lower() for text in texts)
    ]


def _go(name: str, folder: str, version: Callable[[], str], client: str = "go-redis") -> Peer:
    environment = {"GOMAXPROCS": "1", "BENCH_CLIENT": client}
    return Peer(name, lambda: [go(folder), "{port}"], environment, version)


def _node() -> list[str]:
    return [tool("node", "Node.js"), str(ROOT / "benchmarks/peers/node/server.js"), "{port}"]


def nginx(template: str, place: Path, origin: int = 0) -> list[str]:
    """The command of one with that configuration, which is filled in at `place`.

    Args:
        template: a file of `benchmarks/peers`.
        place: the folder that it serves from.
        origin: the port of whom it passes requests on to.
    """
    program = tool("nginx", "nginx (Debian: apt-get install nginx-core)")
    file, made = ROOT / "benchmarks/peers" / template, place / template
    fill = f"sed 's|PORT|{{port}}|;s|FOLDER|{place}|;s|ORIGIN|{origin}|' {file} >{made}"
    return ["sh", "-c", f"{fill} && exec {program} -c {made}"]


def _granian(name: str, interface: str, module: str, *versions: str) -> Peer:
    options = ["--interface", interface, "--http", "1", "--no-ws", "--workers", "1"]
    options += ["--loop", "uvloop", "--runtime-mode", "st"]
    options += ["--backlog", "16384", "--backpressure", "16384"]  # else 1,024 connections at most
    options += ["--log-level", "error", "--port", "{port}", f"{PACKAGE}.{module}:app"]
    packages = (*versions, "granian", "uvloop")
    return Peer(name, lambda: [python("granian"), *options], version=lambda: package(*packages))


def _uvicorn(name: str, module: str, *versions: str) -> Peer:
    options = ["--loop", "uvloop", "--http", "httptools", "--ws", "none", "--no-access-log"]
    options += ["--log-level", "error", "--backlog", "4096", "--port", "{port}"]
    packages = (*versions, "uvicorn", "httptools", "uvloop")
    command = [*options, f"{PACKAGE}.{module}:app"]
    return Peer(name, lambda: [python("uvicorn"), *command], version=lambda: package(*packages))


def _alone(name: str, module: str, *options: str, versions: tuple[str, ...] = ()) -> Peer:
    packages = versions or (name.lower(),)
    return Peer(
        name,
        lambda: [python("python"), "-m", f"{PACKAGE}.{module}", "{port}", *options],
        version=lambda: package(*packages),
    )


def _ours(module: str, prefix: str, *versions: str) -> list[Peer]:
    found = []
    for name, loop in zip(OURS, ("asyncio", "uvloop"), strict=True):
        packages = (*versions, "uvloop") if loop == "uvloop" else versions
        found.append(
            Peer(
                prefix + name,
                lambda loop=loop: _mhz(module, loop),
                imports(),
                lambda packages=packages: package(*packages) + guided(),
            )
        )
    return found


def _client(client: str, *versions: str) -> Peer:
    return replace(
        _ours("ours", "", *versions)[0],
        name=f"megahertz {client}",
        environment=imports() | {"BENCH_CLIENT": client},
    )


def _mhz(module: str, loop: str) -> list[str]:
    options = ("--loop", loop, "--log-level", "error")
    return mhz_run(f"{PACKAGE}.{module}:app", *options, interpreter=python("python"))
