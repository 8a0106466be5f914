"""A group follows a registry that changes, fails, stands still and lies."""

import asyncio

import pytest

from megahertz.errors import BackendError, ConnectError
from megahertz.govern.balance import Group, Instance
from megahertz.govern.registry import Following, StaticRegistry
from tests.govern.registry.waiting import until
from tests.virtual import virtual


def some(*ports):
    return [Instance(host="a", port=port) for port in ports]


class Scripted:
    """Tells what a test puts: a list, or an error."""

    def __init__(self):
        self.says = asyncio.Queue()
        self.asked = 0

    async def watch(self, service):
        self.asked += 1
        while True:
            said = await self.says.get()
            if said is None:
                return
            if isinstance(said, Exception):
                raise said
            yield said


def called(group):
    return sorted(it.name for it in group.statistics())


@virtual
async def test_a_group_has_what_the_registry_tells():
    registry, group = Scripted(), Group("orders")
    registry.says.put_nowait(some(1, 2))
    async with Following(registry, "orders", group) as following:
        assert called(group) == ["a:1", "a:2"]
        registry.says.put_nowait(some(2, 3))
        await until(lambda: following.statistics().lists == 2)

        assert called(group) == ["a:2", "a:3"]
        assert following.statistics().state == "following"


@virtual
async def test_traffic_goes_on_while_the_registry_is_away_for_a_minute(caplog):
    registry, group = Scripted(), Group("orders")
    registry.says.put_nowait(some(1, 2))
    async with Following(registry, "orders", group) as following:
        for _ in range(8):
            registry.says.put_nowait(ConnectError("away"))
        end = asyncio.get_running_loop().time() + 60
        while asyncio.get_running_loop().time() < end:
            with group.acquire():
                await asyncio.sleep(0.5)

        seen = following.statistics()
        assert (seen.state, seen.instances, seen.losses) == ("lost", 2, 1)
        assert seen.trouble == "away"
        assert dict(following.figures())['registry_lost{service="orders"}'] == 1
        registry.says.put_nowait(some(1, 2, 3))
        await until(lambda: following.statistics().state == "following")
        assert called(group) == ["a:1", "a:2", "a:3"]
    assert registry.asked == 9
    assert caplog.text.count("the last list stays") == 1


@virtual
async def test_an_empty_list_is_believed_once_it_has_stayed():
    registry, group = Scripted(), Group("orders")
    registry.says.put_nowait(some(1))
    async with Following(registry, "orders", group, grace=30.0) as following:
        registry.says.put_nowait([])
        await until(lambda: following.statistics().lists == 2)
        assert (called(group), following.statistics().doubted) == (["a:1"], 1)
        await asyncio.sleep(31)

        assert called(group) == []
        with pytest.raises(ConnectError):
            group.acquire()


@virtual
async def test_nobody_goes_while_nobody_tells():
    """All leases ran out, and then the registry went: the minutes after that do not count."""
    registry, group = Scripted(), Group("orders")
    registry.says.put_nowait(some(1, 2))
    async with Following(registry, "orders", group, grace=30.0) as following:
        registry.says.put_nowait([])
        registry.says.put_nowait(ConnectError("away"))
        await until(lambda: following.statistics().state == "lost")
        await asyncio.sleep(300)
        assert called(group) == ["a:1", "a:2"]
        registry.says.put_nowait([])
        await until(lambda: following.statistics().state == "following")
        await asyncio.sleep(29)
        assert called(group) == ["a:1", "a:2"]
        await asyncio.sleep(2)
        assert called(group) == []


@virtual
async def test_an_error_that_nobody_foresaw_ends_nothing():
    registry, group = Scripted(), Group("orders")
    registry.says.put_nowait(some(1))
    async with Following(registry, "orders", group) as following:
        registry.says.put_nowait(KeyError())
        await until(lambda: following.statistics().state == "lost")
        assert following.statistics().trouble == "KeyError()"
        registry.says.put_nowait(some(2))
        await until(lambda: following.statistics().lists == 2)


@virtual
async def test_a_start_that_is_cancelled_leaves_nothing_behind():
    following = Following(Scripted(), "orders", Group("orders"))
    starting = asyncio.create_task(following.__aenter__())
    await asyncio.sleep(1)
    starting.cancel()
    await asyncio.wait([starting])

    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_without_a_registry_it_begins_all_the_same():
    registry, group = Scripted(), Group("orders")
    registry.says.put_nowait(None)
    async with Following(registry, "orders", group, patience=5.0) as following:
        assert following.statistics().state == "lost"
        assert following.statistics().trouble == "the registry says no more"
        registry.says.put_nowait(some(1))
        await until(lambda: called(group) == ["a:1"])


@virtual
async def test_it_can_be_opened_again():
    registry, group = Scripted(), Group("orders")
    following = Following(registry, "orders", group)
    for port in (1, 2):
        registry.says.put_nowait(some(port))
        async with following:
            assert called(group) == [f"a:{port}"]


@virtual
async def test_a_static_registry_tells_once():
    group = Group("orders")
    async with Following(StaticRegistry({"orders": some(1)}), "orders", group):
        assert called(group) == ["a:1"]
    with pytest.raises(BackendError, match=r"no service 'stock' \(there are: orders\)"):
        await anext(StaticRegistry({"orders": []}).watch("stock"))
