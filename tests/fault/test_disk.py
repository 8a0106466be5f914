"""Scenarios 6 to 9: the disk fails, fills up, turns read-only, or is slow."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
from checker import Ledger, check


def run(*command: str | Path) -> str:
    """A command of the system's, or a failure that says what is missing."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", "") or str(error)
        pytest.fail(f"{' '.join(map(str, command))}: {why}; these tests mount as root")


@pytest.fixture
def small_disk(home: Path):
    """A home whose journal is on a file system of 256 KiB."""
    journal = home / "journal"
    shutil.rmtree(journal)
    journal.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", journal)
    yield home
    run("umount", "-l", journal)


def fill(path: Path) -> None:
    """Takes what space there is."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass


def break_file_system(device: str) -> None:
    """What a bad block in its metadata would do to an ext4."""
    name = Path(device).name
    Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("a fault test\n")


async def settled(child, names: list[str]) -> dict[str, str]:
    """Puts these and gives what each was told."""
    await child.ask(put=names)
    told = {}
    for event in child.events:
        for answer in ("ack", "refused", "unknown", "soldout"):
            if event.get(answer) in names:
                told[event[answer]] = answer
    return told


@pytest.mark.parametrize("count", [2, 3, 4])
async def test_after_a_failed_sync_nothing_is_acknowledged(
    home: Path, start, strace, segments, count: int
):
    """Only that one sync fails: the next would say yes (fsyncgate)."""
    ledger = Ledger(stock=100)
    under = strace(f"fdatasync:error=EIO:when={count}", *segments(home))
    async with start(home, ledger, under=under) as child:
        told = [await settled(child, [f"{number}"]) for number in range(5)]
        assert told == [
            {f"{number}": "ack" if number < count - 1 else "unknown"} for number in range(5)
        ]
        child.say(statistics=1)
        statistics = (await child.heard("statistics"))["statistics"]
        assert statistics["failed"].startswith("fdatasync: Input/output error")
        assert await child.end() == 0

    exist = await check(home, ledger)
    assert ledger.acked <= exist <= {"0", "1", "2", "3", "4"}


async def test_a_sync_that_fails_at_the_start_is_no_start(home: Path, launch, strace, segments):
    ledger = Ledger(stock=100)
    under = strace("fdatasync:error=EIO:when=1", *segments(home))
    async with launch(home, ledger, under=under) as child:
        assert await child.end() == 1

    assert "cannot mend" in (home / "stderr").read_text()


async def test_what_was_acknowledged_before_a_failed_sync_is_still_persisted(
    home: Path, start, strace, segments
):
    ledger = Ledger(stock=100)
    under = strace("fdatasync:error=EIO:when=2", *segments(home))
    async with start(home, ledger, under=under) as child:
        await settled(child, ["a"])
        await settled(child, ["b"])
        await child.ask(flush=1)
        assert ledger.unknown == {"b"}

    assert "a" in await check(home, ledger)


async def test_a_full_disk_refuses_and_recovers_with_space(small_disk: Path, start):
    home, ledger = small_disk, Ledger(stock=100_000)
    filler = home / "journal" / "filler"
    async with start(home, ledger, segment_bytes=65_536, window=0) as child:
        assert await settled(child, ["before"]) == {"before": "ack"}
        fill(filler)
        full = [f"{number}-{'x' * 1000}" for number in range(300)]
        told = await settled(child, full)
        assert "refused" in told.values()
        assert "unknown" not in told.values()
        filler.unlink()
        await child.ask(flush=1)
        assert await settled(child, ["after"]) == {"after": "ack"}
        again = await settled(child, [name for name in full if told[name] == "refused"][:50])
        assert set(again.values()) == {"ack"}
        assert await child.end() == 0

    assert {"before", "after"} <= await outside(home, ledger)


async def test_a_kill_on_a_full_disk_loses_nothing(small_disk: Path, start):
    home, ledger = small_disk, Ledger(stock=100_000)
    async with start(home, ledger, segment_bytes=65_536, window=65_536) as child:
        for turn in range(10):
            await settled(child, [f"{turn}-{number}-{'x' * 900}" for number in range(40)])
        assert ledger.refused
        assert ledger.acked
        child.kill()
        await child.end()

    run("mount", "-o", "remount,size=4m", home / "journal")
    assert ledger.acked <= await outside(home, ledger)


async def outside(home: Path, ledger: Ledger) -> set[str]:
    """`check`, on a copy of the mounted journal: it replaces the directory."""
    twin = home / "twin"
    twin.mkdir()
    shutil.copytree(home / "journal", twin / "journal")
    shutil.copy(home / "shop.db", twin / "shop.db")
    for end in ("-wal", "-shm"):
        if (home / f"shop.db{end}").exists():
            shutil.copy(home / f"shop.db{end}", twin / f"shop.db{end}")
    return await check(twin, ledger)


async def test_a_read_only_disk_refuses_and_recovers(home: Path, start, strace, segments):
    ledger = Ledger(stock=100)
    under = strace("pwrite64:error=EROFS:when=4..9", *segments(home))
    async with start(home, ledger, under=under) as child:
        told = [await settled(child, [f"{number}"]) for number in range(12)]
        answers = [answer for each in told for answer in each.values()]
        assert answers[0] == answers[-1] == "ack"
        assert "refused" in answers
        assert "unknown" not in answers

    await check(home, ledger)


@pytest.fixture
def loop_disk(home: Path):
    """A home whose journal is on an ext4 of its own, which turns read-only on errors."""
    image, journal = home / "image", home / "journal"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    run("mkfs.ext4", "-q", "-F", "-e", "remount-ro", image)
    device = run("losetup", "--find", "--show", image).strip()
    shutil.rmtree(journal)
    journal.mkdir()
    run("mount", device, journal)
    shutil.rmtree(journal / "lost+found")
    yield home, device
    subprocess.run(["umount", "-l", journal], check=False, capture_output=True)
    run("losetup", "--detach", device)


async def test_a_file_system_that_turned_read_only_acknowledges_nothing(loop_disk, start):
    """ext4 reports an error and remounts itself; a running process keeps its open files."""
    (home, device), ledger = loop_disk, Ledger(stock=100)
    async with start(home, ledger) as child:
        assert await settled(child, ["before"]) == {"before": "ack"}
        break_file_system(device)
        told = await settled(child, ["during", "too"])
        assert set(told.values()) <= {"refused", "unknown"}
        assert await child.end() == 0

    journal = home / "journal"
    run("umount", journal)
    run("mount", device, journal)
    assert "before" in await outside(home, ledger)


async def test_a_slow_disk_refuses_on_overflow_and_leaves_the_loop_alone(
    home: Path, start, strace, segments
):
    ledger = Ledger(stock=1000)
    under = strace("fdatasync:delay_enter=150000", *segments(home))
    async with start(home, ledger, under=under, capacity=20) as child:
        child.say(beat=1.0)
        told = await settled(child, [str(number) for number in range(100)])
        assert sorted(set(told.values())) == ["ack", "refused"]
        assert list(told.values()).count("ack") == 20
        assert (await child.heard("longest"))["longest"] < 0.1
        child.say(statistics=1)
        assert (await child.heard("statistics"))["statistics"]["syncs"] < 5, "one sync serves many"
        await child.ask(flush=1)
        assert await settled(child, ["later"]) == {"later": "ack"}

    await check(home, ledger)
