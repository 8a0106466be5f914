"""Watches and leases of a real etcd that is killed, stopped, cut off and compacted."""

import asyncio

import pytest

from megahertz.backends.etcd import Etcd, Put
from megahertz.errors import BackendError, Compacted, ConnectError, ReadError, RemoteError

QUICK = {"ping": 0.3, "ping_timeout": 0.3, "timeout": 20.0, "longest_backoff": 0.2}


async def values(watch, count):
    found = []
    async for changes in watch:
        found += [it.value for it in changes.entries]
        if len(found) >= count:
            return found


async def test_changes_come_in_order_with_their_revisions(etcd):
    async with Etcd(etcd.endpoint) as client:
        first = await client.put("order/a", b"1")
        async with client.watch("order/", prefix=True, revision=first) as watch:
            await client.transact([], [Put("order/b", b"2"), Put("order/c", b"3")])
            gone = await client.delete("order/a")
            entries = []
            while len(entries) < 4:
                entries += (await anext(watch)).entries

            assert gone == 1
            assert [it.modified - first for it in entries] == [0, 1, 1, 2]
            assert [it.version for it in entries] == [1, 1, 1, 0]
            assert watch.revision == first + 2


async def test_a_watch_begins_behind_the_present(etcd):
    async with Etcd(etcd.endpoint) as client:
        await client.put("begin", b"before")
        watch = client.watch("begin")
        await watch.begin()
        await watch.begin()
        await client.put("begin", b"after")

        assert [it.value for it in (await anext(watch)).entries] == [b"after"]
        watch.close()


async def test_a_waiting_that_is_cancelled_loses_nothing(etcd):
    async with Etcd(etcd.endpoint) as client:
        watch = client.watch("cancel")
        await watch.begin()
        for number in range(5):
            waiting = asyncio.create_task(anext(watch))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            await client.put("cancel", b"%d" % number)

        assert await values(watch, 5) == [b"0", b"1", b"2", b"3", b"4"]
        watch.close()


async def test_nothing_is_lost_or_repeated_over_a_crash(new_etcd):
    server = new_etcd()
    async with Etcd(server.endpoint, **QUICK) as client:
        lost = []
        watch = client.watch("a", revision=1, lost=lost.append)
        await client.put("a", b"1")
        assert await values(watch, 1) == [b"1"]
        server.kill()
        await asyncio.to_thread(server.start)
        await client.put("a", b"2")
        await client.put("a", b"3")

        assert await values(watch, 2) == [b"2", b"3"]
        assert watch.losses == len(lost) >= 1
        assert isinstance(lost[0], ReadError)
        watch.close()


async def test_a_partition_is_noticed_by_its_silence(new_etcd, toxiproxy):
    server = new_etcd()
    port = toxiproxy.between("etcd", server.port)
    async with (
        Etcd(server.endpoint) as other,
        Etcd(f"127.0.0.1:{port}", **QUICK) as client,
    ):
        cut = asyncio.Event()
        watch = client.watch("a", lost=lambda why: cut.set())
        await watch.begin()
        told = asyncio.create_task(values(watch, 2))
        await other.put("a", b"1")
        await asyncio.to_thread(toxiproxy.cut, "etcd")
        await other.put("a", b"2")
        await cut.wait()
        await asyncio.to_thread(toxiproxy.heal)

        assert await told == [b"1", b"2"]
        watch.close()


async def test_a_watch_that_shall_not_resume_says_so(new_etcd):
    server = new_etcd()
    async with Etcd(server.endpoint, timeout=1.0) as client:
        watch = client.watch("a", resume=False)
        await watch.begin()
        server.kill()
        with pytest.raises(ReadError):
            await anext(watch)
        with pytest.raises(ConnectError):
            await anext(watch)


async def test_history_that_is_gone_is_told_with_what_is_left(new_etcd):
    async with Etcd(new_etcd().endpoint) as client:
        first = await client.put("a", b"1")
        last = await client.put("a", b"2")
        await client.compact(last)
        with pytest.raises(Compacted, match="read afresh") as told:
            await anext(client.watch("a", revision=first))

    assert told.value.revision == last


async def test_progress_keeps_a_quiet_watch_ahead_of_compactions(new_etcd):
    server = new_etcd()
    async with Etcd(server.endpoint, **QUICK) as client:
        watch = client.watch("quiet")
        await watch.begin()
        told = asyncio.create_task(anext(watch))
        last = await client.put("loud", b"")
        while watch.revision < last:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        await client.compact(last)
        server.kill()
        await asyncio.to_thread(server.start)
        await client.put("quiet", b"1")

        assert [it.value for it in (await told).entries] == [b"1"]
        watch.close()


async def test_a_store_that_went_back_is_not_believed(new_etcd, tmp_path):
    server = new_etcd()
    async with Etcd(server.endpoint, **QUICK) as client:
        watch = client.watch("a", revision=1)
        for number in range(3):
            await client.put("a", b"%d" % number)
        assert len(await values(watch, 3)) == 3
        server.kill()
        (tmp_path / "etcd-0/data").rename(tmp_path / "lost")
        await asyncio.to_thread(server.start)

        with pytest.raises(Compacted, match=r"went back from 4 to 1|another cluster"):
            await anext(watch)


async def test_fragments_are_put_together(new_etcd):
    async with Etcd(new_etcd().endpoint) as client:
        large = b"x" * 1_000_000
        first = await client.put("a", large)
        for _ in range(5):
            await client.put("a", large)

        # Behind the others etcd sends what has gathered as one answer, in fragments.
        changes = await anext(client.watch("a", revision=first))

        assert [it.modified for it in changes.entries] == list(range(first, first + 6))


async def test_a_lease_is_kept_until_it_is_given_back(etcd):
    async with Etcd(etcd.endpoint) as client:
        async with client.lease(1) as lease:
            await client.put("lease/kept", b"", lease=lease.id)
            while lease.renewals < 4:  # longer than it lasts
                assert not lease.is_lost
                await asyncio.sleep(0.05)
            assert (await client.get("lease/kept")).lease == lease.id

        assert await client.get("lease/kept") is None
        assert lease.is_lost


async def test_a_lease_that_etcd_forgot_is_lost(etcd):
    async with Etcd(etcd.endpoint) as client, client.lease(1) as lease:
        request = client._wire.messages.LeaseRevokeRequest(ID=lease.id)
        await client._wire.ask("LeaseRevoke", request)

        assert "does not know it" in await lease.lost()


async def test_a_lease_is_lost_when_its_time_is_over_and_nobody_answers(new_etcd):
    server = new_etcd()
    async with Etcd(server.endpoint, timeout=1.0) as client:
        async with client.lease(1) as lease:
            server.pause()
            assert "not renewed within" in await lease.lost()
        server.resume()


async def test_a_lease_survives_a_crash(new_etcd):
    server = new_etcd()
    async with Etcd(server.endpoint, **QUICK) as client, client.lease(20) as lease:
        server.kill()
        await asyncio.to_thread(server.start)

        assert await lease._renew() == 20
        assert not lease.is_lost


async def test_a_lease_survives_a_member_that_is_cut_off(new_etcd, toxiproxy):
    server = new_etcd()
    ports = [toxiproxy.between(name, server.port) for name in ("one", "two")]
    both = [f"127.0.0.1:{port}" for port in ports]
    async with Etcd(*both, ping=100.0) as client, client.lease(3) as lease:
        await asyncio.to_thread(toxiproxy.cut, ("one", "two")[client._wire._at])
        while lease.renewals < 3:
            assert not lease.is_lost
            await asyncio.sleep(0.05)
        await asyncio.to_thread(toxiproxy.heal)


async def test_a_lease_that_cannot_be_had(new_etcd):
    server = new_etcd()
    server.kill()
    async with Etcd(server.endpoint, timeout=0.1) as client:
        with pytest.raises(BackendError):
            await client.lease(10).__aenter__()


async def test_a_watch_that_etcd_ends_is_no_lost_connection(etcd):
    async with Etcd(etcd.endpoint) as client:
        watch = client.watch("a")
        await watch.begin()
        watch._stream.read = _cancelled(client._wire.messages, "no such right")
        with pytest.raises(RemoteError, match="no such right"):
            await anext(watch)
        await watch.begin()
        watch._resume = False
        watch._stream.read = _cancelled(client._wire.messages, "invalid auth token")
        with pytest.raises(ReadError, match="invalid auth token"):
            await anext(watch)


def _cancelled(messages, reason):
    async def read():
        return messages.WatchResponse(canceled=True, cancel_reason=reason)

    return read
