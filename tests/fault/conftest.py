"""Real processes under faults: starting them, listening to them, and what they need."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

# The child is a program of its own and the checker reads its types: neither is a package.
sys.path.insert(0, str(Path(__file__).parent))

from checker import Ledger, prepare

CHILD = Path(__file__).parent / "child.py"
PATIENCE = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == CHILD.parent:
            item.add_marker(pytest.mark.fault)


class Child:
    """One run of child.py; what it says goes to the ledger."""

    def __init__(self, home: Path, ledger: Ledger, process: asyncio.subprocess.Process) -> None:
        self.home, self.ledger, self._process = home, ledger, process
        self.events: list[dict] = []
        self.pid = 0
        self._changed = asyncio.Event()
        self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for line in self._process.stdout:
            with contextlib.suppress(json.JSONDecodeError):  # cut off by a kill
                event = json.loads(line)
                self.events.append(event)
                self.ledger.note(event)
                self._changed.set()

    async def heard(self, name: str, count: int = 1) -> dict:
        """The `count`th event of that name; an error where the child ends first."""
        async with asyncio.timeout(PATIENCE):
            while len(found := [each for each in self.events if name in each]) < count:
                self._changed.clear()
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait([changed, self._listener], return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if self._listener.done() and sum(name in e for e in self.events) < count:
                    raise AssertionError(f"no {name!r} from the child: {self.events[-3:]}")
        return found[count - 1]

    def say(self, **command) -> None:
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def ask(self, **command) -> None:
        """A command, and the `done` behind it."""
        done = sum("done" in each for each in self.events)
        self.say(**command)
        await self.heard("done", done + 1)

    def kill(self) -> None:
        os.kill(self.pid, 9)

    async def end(self) -> int:
        """Waits for the end and everything said before it."""
        async with asyncio.timeout(PATIENCE):
            self._process.stdin.close()
            await self._listener
            return await self._process.wait()


@contextlib.asynccontextmanager
async def running(home: Path, ledger: Ledger, *, under: tuple[str, ...] = (), **settings):
    """A child, perhaps under strace, that is dead afterwards."""
    with (home / "stderr").open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            *under,
            sys.executable,
            str(CHILD),
            str(home),
            str(ledger.stock),
            json.dumps(settings),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    child = Child(home, ledger, process)
    try:
        yield child
    finally:
        if process.returncode is None:
            for pid in {child.pid, process.pid} - {0}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            await process.wait()
        await child._listener


@pytest.fixture
def start():
    """`async with start(home, ledger, under=..., **settings) as child`, once it is ready."""

    @contextlib.asynccontextmanager
    async def ready(home: Path, ledger: Ledger, **settings):
        async with running(home, ledger, **settings) as child:
            child.pid = (await child.heard("ready"))["ready"]
            yield child

    return ready


@pytest.fixture
def launch():
    """As `start`, without waiting: the fault may come before the child is ready."""
    return running


@pytest.fixture
def strace():
    """A function from a file's path and an injection to the command in front of a child's."""
    found = shutil.which("strace")
    if found is None:
        pytest.fail("these tests need strace: tests/servers.sh, or apt-get install strace")

    # Not --seccomp-bpf: strace 6.1 then counts only the first call of `when`.
    def command(inject: str, *paths: Path) -> tuple[str, ...]:
        call = inject.split(":", 1)[0]
        watched = [part for path in paths for part in ("-P", str(path))]
        quiet = ["-f", "-qq", "-o", "/dev/null"]
        return (found, *quiet, *watched, "-e", f"trace={call}", "-e", f"inject={inject}")

    return command


@pytest.fixture
def segments():
    """The files and the directory of a home's journal, as far as any test gets."""

    def paths(home: Path) -> list[Path]:
        journal = home / "journal"
        names = [f"{index:020}" for index in range(1, 9)]
        kinds = ("segment", "making")
        return [journal, *(journal / f"{name}.{kind}" for name in names for kind in kinds)]

    return paths


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A directory with an empty journal and a database that counts effects."""
    asyncio.run(prepare(tmp_path))
    return tmp_path
