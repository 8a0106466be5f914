"""Instances in a real etcd that is stopped, killed and forgets."""

import asyncio

import pytest

from megahertz.backends import Etcd
from megahertz.errors import BadSettings, ConnectError
from megahertz.govern.balance import Group, Instance
from megahertz.govern.registry import EtcdRegistry, Following
from tests.govern.registry.waiting import until

QUICK = {"ping": 0.3, "ping_timeout": 0.3, "timeout": 1.0, "longest_backoff": 0.1}
ONE = Instance(host="10.0.0.7", port=8000, weight=2.5, zone="a", labels={"v": "2"})
TWO = Instance(host="::1", port=8001, backup=True)


async def test_instances_are_told_as_they_come_and_go(etcd):
    async with Etcd(etcd.endpoint) as client:
        registry = EtcdRegistry(client)
        lists = registry.watch("come")
        assert await anext(lists) == []
        async with registry.register("come", ONE, linger=0):
            assert await anext(lists) == [ONE]
            async with registry.register("come", TWO, linger=0):
                assert await anext(lists) == [ONE, TWO]
            assert await anext(lists) == [ONE]
        assert await anext(lists) == []
        await lists.aclose()


async def test_workers_that_share_an_address_are_one_instance(etcd):
    async with Etcd(etcd.endpoint) as client:
        registry, group = EtcdRegistry(client), Group("share")
        async with registry.register("share", ONE):
            async with registry.register("share", ONE), Following(registry, "share", group):
                assert len(group.statistics()) == 1
            assert (await anext(registry.watch("share"))) == [ONE]


async def test_what_others_write_is_read(etcd, caplog):
    async with Etcd(etcd.endpoint) as client:
        for key, value in [
            ("7587", b"10.0.0.1:80"),  # go-zero
            ("x", b'{"Op":0,"Addr":"10.0.0.2:80","Metadata":"anything"}'),  # gRPC for Go
            ("bad", b"10.0.0.3"),
            ("worse", b'{"Addr":'),
            ("port", b"10.0.0.4:99999"),
            ("weight", b'{"Addr":"10.0.0.5:80","Metadata":{"weight":"much"}}'),
            ("v2/y", b"10.0.0.9:80"),  # another service
        ]:
            await client.put(f"services/others/{key}", value)
        found = await anext(EtcdRegistry(client).watch("others"))

    assert [it.name for it in found] == ["10.0.0.1:80", "10.0.0.2:80"]
    assert caplog.text.count("is no instance") == 4


async def test_a_service_has_a_name(etcd):
    async with Etcd(etcd.endpoint) as client:
        for name in ("", "orders/"):
            with pytest.raises(BadSettings, match="a name"):
                await anext(EtcdRegistry(client).watch(name))


async def test_who_dies_goes_with_its_lease(etcd):
    async with Etcd(etcd.endpoint) as client:
        registry = EtcdRegistry(client, ttl=1)
        registration = registry.register("dies", ONE)
        await registration.__aenter__()
        lists = registry.watch("dies")
        assert await anext(lists) == [ONE]
        # As kill -9 does: nothing is given back.
        lease = next(it for it in asyncio.all_tasks() if it.get_name().startswith("etcd lease"))
        lease.cancel()

        assert await anext(lists) == []
        await lists.aclose()
        await registration.__aexit__(None, None, None)


async def calls(group, until):
    """Calls as long as `until` is not set; gives how many there were."""
    count = 0
    while not until.is_set():
        with group.acquire():
            await asyncio.sleep(0.005)
        count += 1
    return count


@pytest.mark.parametrize("harm", ["kill", "stop"])
async def test_traffic_goes_on_while_etcd_is_away(new_etcd, harm):
    """Longer than a lease lasts; a stop is the worse one, as all leases run out at its end."""
    server, group = new_etcd(), Group("orders")
    async with Etcd(server.endpoint, **QUICK) as client:
        registry = EtcdRegistry(client, ttl=1)
        one, two = registry.register("orders", ONE), registry.register("orders", TWO)
        async with one, two, Following(registry, "orders", group) as following:
            await until(lambda: len(group.statistics()) == 2)
            over = asyncio.Event()
            calling = asyncio.create_task(calls(group, over))
            server.kill() if harm == "kill" else server.pause()
            await until(
                lambda: (
                    following.statistics().state == "lost"
                    and one.statistics().state == two.statistics().state == "lost"
                )
            )
            assert len(group.statistics()) == 2
            if harm == "kill":
                await asyncio.to_thread(server.start)
            else:
                server.resume()
            await until(lambda: following.statistics().state == "following")
            await until(lambda: one.statistics().state == two.statistics().state == "registered")
            figures = dict(one.figures())
            assert sorted(figures.values()) == [1, 1]  # it stands there, and was lost once
            await until(lambda: following.statistics().doubted == 0)
            assert len(group.statistics()) == 2
            over.set()
            assert await calling > 10


async def test_an_etcd_that_cannot_be_had_is_an_error_of_the_watch(new_etcd):
    server = new_etcd()
    async with Etcd(server.endpoint, **QUICK) as client:
        lists = EtcdRegistry(client).watch("orders")
        assert await anext(lists) == []
        server.kill()
        with pytest.raises(Exception, match="etcd"):
            await anext(lists)
        with pytest.raises(ConnectError):
            await anext(EtcdRegistry(client).watch("orders"))
