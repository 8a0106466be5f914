"""Who is compared: the same `GET /` -> `{"msg":"ok"}` from a C floor, from Go and from us."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE / ".cache"


class Missing(Exception):
    """A peer that cannot run here; says what is needed."""


@dataclass(frozen=True)
class Peer:
    """One server.

    Attributes:
        name: in tables and results.
        build: gives the command; `{port}` in it is filled in.
        environment: added to ours.
        version: what was measured, asked after the build.
    """

    name: str
    build: Callable[[], list[str]]
    environment: dict[str, str] = field(default_factory=dict)
    version: Callable[[], str] = lambda: ""


def peers() -> list[Peer]:
    """All, the floor first."""
    return [
        Peer("floor", _floor, version=lambda: _says("cc", "--version")),
        Peer("fasthttp", _fasthttp, {"GOMAXPROCS": "1"}, version=_fasthttp_version),
        Peer("megahertz", lambda: _ours("asyncio"), version=_python),
        Peer("megahertz uvloop", lambda: _ours("uvloop"), version=_uvloop),
    ]


def _floor() -> list[str]:
    source, binary = HERE / "peers/floor.c", CACHE / "floor"
    if _stale(binary, source):
        _run(_tool("cc", "a C compiler"), "-O2", "-o", str(binary), str(source))
    return [str(binary), "{port}"]


def _fasthttp() -> list[str]:
    folder, binary = HERE / "peers/fasthttp", CACHE / "fasthttp"
    if _stale(binary, folder / "main.go", folder / "go.mod"):
        _run(_tool("go", "Go >= 1.24"), "build", "-o", str(binary), ".", cwd=folder)
    return [str(binary), "{port}"]


def _ours(loop: str) -> list[str]:
    server = Path(sys.executable).parent / "mhz"
    return [str(server), "run", "examples.hello:app", "--port", "{port}", "--loop", loop]


def _stale(binary: Path, *sources: Path) -> bool:
    CACHE.mkdir(exist_ok=True)
    newest = max(source.stat().st_mtime for source in sources)
    return not binary.exists() or binary.stat().st_mtime < newest


def _tool(name: str, need: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"needs {need}")
    return found


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"{os.path.basename(command[0])} failed: {done.stderr.strip()[-400:]}")


def _says(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.partition("\n")[0]


def _fasthttp_version() -> str:
    words = (HERE / "peers/fasthttp/go.mod").read_text().split()
    pinned = words[words.index("github.com/valyala/fasthttp") + 1]
    return f"fasthttp {pinned}, {_says('go', 'version')}"


def _python() -> str:
    return f"CPython {sys.version.split()[0]}"


def _uvloop() -> str:
    try:
        import uvloop
    except ImportError:
        return "no uvloop"
    return f"{_python()}, uvloop {uvloop.__version__}"
