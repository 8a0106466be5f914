"""Peers are built here, from pinned sources, into a folder that git ignores."""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
CACHE = Path(__file__).parent / ".cache"
PYTHON = CACHE / "peers/bin"
"""Where the commands of all Python servers are, ours among them: one venv, one uvloop."""


class Missing(Exception):
    """A peer that cannot run here; says what is needed."""


def compiled(name: str) -> str:
    """The binary of `peers/<name>.c`."""
    source, binary = PEERS / f"{name}.c", CACHE / name
    if _stale(binary, source):
        run(tool("cc", "a C compiler"), "-O2", "-o", str(binary), str(source))
    return str(binary)


def go(name: str) -> str:
    """The binary of `peers/go/<name>`."""
    folder, binary = PEERS / "go", CACHE / name
    if _stale(binary, *folder.glob(f"{name}/*.go"), *folder.glob("shop/*.go"), folder / "go.mod"):
        command = [tool("go", "Go >= 1.26"), "build", "-o", str(binary), f"./{name}"]
        run(*command, cwd=folder)
    return str(binary)


def python(name: str) -> str:
    """A command of the venv of the Python servers, which is made first where it is not there."""
    wanted = PEERS / "python/requirements.txt"
    stamp = CACHE / "peers/built"
    base = interpreter()
    state = hashlib.sha256(wanted.read_bytes() + f"{base} {_abi(base)}".encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != state:
        CACHE.mkdir(exist_ok=True)
        # Debian's has no pip for a venv without another package: ours installs into it.
        run(base, "-m", "venv", "--clear", "--without-pip", str(CACHE / "peers"))
        pip = [sys.executable, "-m", "pip", "--python", str(PYTHON / "python")]
        run(*pip, "install", "--quiet", "--no-deps", "-r", str(wanted))
        stamp.write_text(state)
    return str(PYTHON / name)


def interpreter() -> str:
    """What all Python servers run on: ours, if it was built with profile-guided optimisation.

    pyenv's is not, unless it is told to; Debian's and the container images' are, so where ours is
    not, it is the distribution's of the same version, if that is here.
    """
    theirs, flags = "/usr/bin/python3", sysconfig.get_config_var("CONFIG_ARGS") or ""
    plain = "--enable-optimizations" not in flags
    return theirs if plain and _abi(theirs) == _abi(sys.executable) else sys.executable


def _abi(executable: str) -> str:
    """Two that have the same load the same native modules."""
    return says(executable, "-c", "import sysconfig; print(sysconfig.get_config_var('SOABI'))")


def tool(name: str, need: str) -> str:
    """Where that program is.

    Raises:
        Missing: it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise Missing(f"needs {need}")
    return found


def run(
    *command: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    text: str = "",
) -> None:
    """Runs a build, or another program, to its end.

    Args:
        command: words.
        cwd: the folder it runs in.
        environment: added to ours.
        text: its input.

    Raises:
        Missing: it failed; says how.
    """
    surroundings = os.environ | (environment or {})
    done = subprocess.run(
        command, cwd=cwd, env=surroundings, input=text, capture_output=True, text=True
    )
    if done.returncode:
        raise Missing(f"{Path(command[0]).name} failed: {done.stderr.strip()[-400:]}")


def says(*command: str) -> str:
    """The first line that a program prints, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return (done.stdout or done.stderr).partition("\n")[0]


def go_module(name: str) -> str:
    """Its version, as pinned, and Go's."""
    words = (PEERS / "go/go.mod").read_text().split()
    return f"{words[words.index(name) + 1]}, {go_version()}"


def go_version() -> str:
    """Such as `go1.26.8`."""
    return says("go", "env", "GOVERSION")


def package(*names: str) -> str:
    """Versions of Python packages, as pinned, and Python's."""
    pinned = dict(
        line.split("==")
        for line in (PEERS / "python/requirements.txt").read_text().splitlines()
        if "==" in line
    )
    release = says(interpreter(), "--version").removeprefix("Python ")
    return ", ".join([*(f"{name} {pinned[name]}" for name in names), f"CPython {release}"])


def is_release() -> bool:
    """Whether the native module is what users get; `make install` leaves the mark."""
    return (Path(sys.prefix) / ".native-release").exists()


def guided() -> str:
    """How the native module was optimised, to follow its version."""
    said = (Path(sys.prefix) / ".native-release").read_text().strip() if is_release() else ""
    return f", {said}" if said else ""


def python_version() -> str:
    """Such as `CPython 3.11.7`."""
    return f"CPython {sys.version.split()[0]}"


def _stale(binary: Path, *sources: Path) -> bool:
    CACHE.mkdir(exist_ok=True)
    newest = max(source.stat().st_mtime for source in sources)
    return not binary.exists() or binary.stat().st_mtime < newest
