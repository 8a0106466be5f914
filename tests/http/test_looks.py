"""One look a second for all who follow."""

import asyncio

import pytest

from megahertz.http import looks as module
from megahertz.http.looks import Looks


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.0)


class Numbers:
    begun = made = 0

    def begin(self):
        self.begun += 1
        return self.look

    def look(self):
        self.made += 1
        return str(self.made).encode()


async def test_nobody_looks_while_nobody_follows():
    numbers = Numbers()
    looks = Looks(numbers.begin)
    assert numbers.begun == looks.viewers == 0

    async with looks.followed() as pictures:
        assert looks.viewers == 1
        first = int(await anext(pictures))
        assert int(await anext(pictures)) > first
    assert (looks.viewers, numbers.begun) == (0, 1)

    async with looks.followed() as pictures:
        await anext(pictures)
    assert numbers.begun == 2


async def test_all_followers_see_the_same_picture():
    numbers = Numbers()
    looks = Looks(numbers.begin)
    async with looks.followed() as one, looks.followed() as other:
        seen = await asyncio.gather(anext(one), anext(other))
        assert seen[0] == seen[1]
        assert numbers.begun == 1
    assert looks.viewers == 0


async def test_one_who_leaves_ends_it_for_nobody_else():
    looks = Looks(Numbers().begin)
    async with looks.followed() as stays:
        async with looks.followed() as leaves:
            await anext(leaves)
        before = int(await anext(stays))
        assert int(await anext(stays)) > before


async def test_a_look_that_fails_is_told_and_tried_again_by_who_comes_next():
    fails = [True]

    def look():
        if fails:
            raise OSError("no more files")
        return b"1"

    looks = Looks(lambda: look)
    async with looks.followed() as pictures:
        with pytest.raises(OSError, match="no more files"):
            await anext(pictures)
    fails.clear()
    async with looks.followed() as pictures:
        assert await anext(pictures) == b"1"
