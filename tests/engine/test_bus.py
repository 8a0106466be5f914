"""Who is on the bus: workers come and go, and two generations are there at once."""

import asyncio
import os

import pytest

from megahertz.engine import Bus
from megahertz.engine.bus import forget
from megahertz.errors import LocalProtocolError


class Member:
    """One worker's end, and what it heard."""

    def __init__(self, directory, pid):
        self.bus = Bus(directory, "rooms", str(pid))
        self.heard = asyncio.Queue()

    async def __aenter__(self):
        await self.bus.open(self.heard.put_nowait)
        return self

    async def __aexit__(self, *exc):
        await self.bus.close()


async def test_who_comes_later_hears_what_is_said_later(tmp_path):
    async with Member(tmp_path, 1) as old, Member(tmp_path, 2) as sibling:
        await old.bus.publish(b"before")
        assert await sibling.heard.get() == b"before"
        async with Member(tmp_path, 3) as successor:
            await old.bus.publish(b"both")
            await successor.bus.publish(b"back")
            assert await sibling.heard.get() == b"both"
            assert await successor.heard.get() == b"both"
            assert await old.heard.get() == b"back"
            assert await sibling.heard.get() == b"back"
        await old.bus.publish(b"after")
        assert await sibling.heard.get() == b"after"
        assert successor.heard.empty()
        assert old.heard.empty(), "nobody hears himself"


async def test_a_worker_that_was_killed_is_forgotten(tmp_path):
    async with Member(tmp_path, 1) as survivor, Member(tmp_path, 2) as sibling:
        (tmp_path / "rooms.9").touch()
        (tmp_path / "others.9").touch()
        await survivor.bus.publish(b"with its file")
        forget(os.fspath(tmp_path), 9)
        await survivor.bus.publish(b"without")

        assert [await sibling.heard.get() for _ in range(2)] == [b"with its file", b"without"]
        assert not list(tmp_path.glob("*.9"))
        assert survivor.bus.lost == 0


async def test_a_folder_that_has_not_changed_is_not_read_again(tmp_path, monkeypatch):
    async with Member(tmp_path, 1) as member, Member(tmp_path, 2) as other:
        os.utime(tmp_path, (1, 1))
        await member.bus.publish(b"one")
        monkeypatch.setattr(os, "listdir", None)
        await member.bus.publish(b"two")
        assert [await other.heard.get() for _ in range(2)] == [b"one", b"two"]


async def test_a_message_has_a_size(tmp_path):
    async with Member(tmp_path, 1) as member:
        for message in (b"", b"x" * (16 * 1024 * 1024 + 1)):
            with pytest.raises(LocalProtocolError):
                await member.bus.publish(message)
