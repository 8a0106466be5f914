"""What the optimiser is to know: `make train`.

A build that counts serves what the benchmarks ask of it, for a few seconds each, and is asked by
our own load generator and client. From its counts rustc (LLVM) lays out and inlines the native
module for what is done often: profile-guided optimisation. They are kept in `rust/profile`, and
`make install` uses them where the compiler is the one that counted, since they are found by its
names for functions. A function that has changed since is built as if nothing were known of it.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import trustme

from benchmarks.build import ROOT, Missing, run, says, tool
from benchmarks.handshakes import tls_options
from benchmarks.holders import held
from benchmarks.peer import PACKAGE, Peer, mhz_run
from benchmarks.server import Server, started
from benchmarks.sockets import broadcast
from benchmarks.store import STORES
from benchmarks.work import compact, order
from megahertz.load import pair, pinned

WHERE = ROOT / "rust/profile"
COUNTS, COMPILER = WHERE / "counts.profdata", WHERE / "compiler.txt"
BUILD = ROOT / "rust/target/train"
LLVM = re.compile(r"^LLVM version: (\d+)", re.MULTILINE)
SECONDS = 2.0
BROWSER = (
    "accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-encoding: gzip, deflate, br",
    "accept-language: en-GB,en;q=0.5",
    "cookie: session=0123456789abcdef; theme=dark",
    "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
)


@dataclass(frozen=True)
class Course:
    """One server and what it is asked.

    Attributes:
        module: the application.
        asks: options of `mhz load` behind which the URL's path comes, one run each.
        options: of `mhz run`.
        tls: it has a certificate.
        store: what is started for it.
    """

    module: str
    asks: tuple[tuple[str, ...], ...]
    options: tuple[str, ...] = ()
    tls: bool = False
    store: str = ""


HELLO = ("/",)
MUX = ("--http2", "--streams", "8", "-c", "16", "/")
COURSES = (
    Course(
        "ours",
        (
            HELLO,
            ("--pipeline", "16", "/"),
            (*(word for field in BROWSER for word in ("-H", field)), "/items/7?full=true&limit=3"),
            (
                "-H",
                "content-type: application/json",
                "--body",
                compact(order()).decode(),
                "/orders",
            ),
            ("/blob",),
            ("/files/64k.bin",),
            ("/yield",),
            ("--no-keepalive", "/"),
            MUX,
        ),
        ("--loop", "asyncio"),
    ),
    Course("ours", (HELLO, ("/redis",)), ("--loop", "uvloop"), store="one"),
    Course("ours", (HELLO, MUX), tls=True),
    Course("governed", (HELLO,)),
    Course("observed", (HELLO,)),
    Course("asgi", (HELLO,)),
)


@click.command()
def main() -> None:
    """Counts what the native module does under load, and writes it to rust/profile."""
    try:
        count()
    except Missing as error:
        raise click.ClickException(str(error)) from error


def count() -> None:
    """Every course, then what all of them came to.

    Raises:
        Missing: a tool or a server is not there, or a course failed.
    """
    merge = profdata()
    environment = _counting()
    shutil.rmtree(BUILD / "counted", ignore_errors=True)
    for number, course in enumerate(COURSES, 1):
        click.echo(f"{number}/{len(COURSES) + 2}: {course.module} {' '.join(course.options)}")
        serve(course, environment)
    click.echo(f"{number + 1}/{number + 2}: WebSockets")
    sockets(environment)
    click.echo(f"{number + 2}/{number + 2}: calls")
    calls(environment)
    WHERE.mkdir(exist_ok=True)
    counted = map(str, (BUILD / "counted").glob("*.profraw"))
    run(merge, "merge", "--sparse", "-o", str(COUNTS), *counted)
    COMPILER.write_text(compiler())
    click.echo(f"{COUNTS.relative_to(ROOT)}: {COUNTS.stat().st_size:,} bytes; now make install")


def profdata(libraries: Path = Path("/usr/lib")) -> str:
    """The llvm-profdata of this rustc's LLVM: no other reads its counts.

    Args:
        libraries: where Debian has its LLVMs.

    Raises:
        Missing: there is none; says what to install.
    """
    found = LLVM.search(compiler())
    major = found[1] if found else "?"
    own = Path(says("rustc", "--print", "target-libdir")).parent / "bin/llvm-profdata"
    for path in (own, libraries / f"llvm-{major}/bin/llvm-profdata"):
        if path.exists():
            return str(path)
    raise Missing(
        f"llvm-profdata of LLVM {major} is missing: rustup component add llvm-tools "
        f"(or Debian: apt-get install llvm-{major})"
    )


def compiler() -> str:
    """What this rustc says of itself."""
    command = [tool("rustc", "Rust >= 1.85"), "-vV"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _counting() -> dict[str, str]:
    """Builds; gives the environment in which `import megahertz` finds that build, and counts."""
    click.echo("building; a minute or two")
    wheels = BUILD / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    build = {
        # Build scripts count, too, where nobody tells them another folder.
        "RUSTFLAGS": f"-Cprofile-generate={BUILD / 'unused'}",
        "CARGO_TARGET_DIR": str(BUILD / "target"),
    }
    maturin = str(Path(sys.executable).parent / "maturin")
    command = [maturin, "build", "--quiet", "--profile", "release", "-o", str(wheels)]
    run(*command, cwd=ROOT, environment=build)
    tree = BUILD / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(tree)
    counted = BUILD / "counted" / "%p-%m.profraw"
    return {"PYTHONPATH": str(tree), "LLVM_PROFILE_FILE": str(counted)}


def serve(course: Course, environment: Mapping[str, str]) -> None:
    """One server through its course; the load generator counts, too."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options, scheme = [*course.options], "http"
        if course.tls:
            options, scheme = tls_options(trustme.CA(), "ECDSA", folder), "https"
        stores = stack.enter_context(STORES[course.store]()) if course.store else {}
        server = stack.enter_context(_running(course.module, options, {**environment, **stores}))
        for *ask, path in course.asks:
            url = server.base.replace("http", scheme) + path
            load(environment, *ask, *(["--insecure"] if course.tls else []), url)


def load(environment: Mapping[str, str], *options: str) -> None:
    """`mhz load` for `SECONDS`, on the other core."""
    cores = pair()
    command = [sys.executable, "-m", "megahertz", "load", "-d", str(SECONDS), "--warmup", "0.1"]
    with pinned(cores[1] if cores else None):
        run(*command, *options, environment=environment)


def sockets(environment: Mapping[str, str]) -> None:
    """WebSockets in a room, and broadcasts to them."""
    with _running("sockets", (), environment) as server, held(server, "/all", 500) as holders:
        for _ in range(200):
            broadcast(server, holders, 64)


def calls(environment: Mapping[str, str]) -> None:
    """Our client's calls of our server."""
    program = [sys.executable, "-m", f"{PACKAGE}.calling", "megahertz uvloop"]
    with _running("ours", (), environment) as server:
        run(*program, f"{server.port}", "64", environment=environment, text=f"{SECONDS}\n")


def _running(
    module: str, options: Sequence[str], environment: Mapping[str, str]
) -> AbstractContextManager[Server]:
    command = mhz_run(f"{PACKAGE}.{module}:app", *options, "--log-level", "error")
    peer = Peer(module, lambda: command)
    return started(peer, environment)


if __name__ == "__main__":
    main()
