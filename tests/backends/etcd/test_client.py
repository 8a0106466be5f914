"""Keys, transactions and users of a real etcd."""

import asyncio
import json
import socket
import sys
import urllib.request

import pytest
import trustme

from megahertz.backends.etcd import Compare, Delete, Etcd, Get, Options, Put
from megahertz.backends.etcd.messages import messages
from megahertz.context import deadline
from megahertz.errors import (
    BadSettings,
    Compacted,
    ConnectError,
    DeadlineExceeded,
    LeaseLost,
    ReadError,
    RemoteError,
)
from tests.cluster import free_port


async def test_a_key_is_written_read_and_deleted(etcd):
    async with Etcd(etcd.endpoint) as client:
        first = await client.put("kv/a", b"1")
        second = await client.put("kv/a", b"\x00\xff")
        now, before = await client.get("kv/a"), await client.get("kv/a", revision=first)

        assert (now.value, now.created, now.modified, now.version) == (
            b"\x00\xff",
            first,
            second,
            2,
        )
        assert before.value == b"1"
        assert await client.delete("kv/a") == 1
        assert await client.get("kv/a") is None
        assert await client.delete("kv/a") == 0


async def test_keys_that_are_no_text_come_back_as_they_were(etcd):
    async with Etcd(etcd.endpoint) as client:
        await client.put("odd/\udcff\udc80", b"")

        assert [it.key for it in (await client.list("odd/")).entries] == ["odd/\udcff\udc80"]


async def test_a_listing_is_of_one_revision_however_many_pages(etcd):
    async with Etcd(etcd.endpoint) as client:
        for number in range(7):
            await client.put(f"list/{number}", b"")
        await client.put("lisu", b"the key behind the prefix")

        found = await client.list("list/", page=3)

        assert [it.key for it in found.entries] == [f"list/{number}" for number in range(7)]
        assert found.revision >= found.entries[-1].modified
        assert (await client.list("nothing/")).entries == []
        newest = await client.list("list/", newest=2)
        assert [it.key for it in newest.entries] == ["list/6", "list/5"]


async def test_the_empty_prefix_is_everything(new_etcd):
    async with Etcd(new_etcd().endpoint) as client:
        await client.put("a", b"")
        await client.put("\udcff", b"")

        assert len((await client.list("")).entries) == 2
        assert await client.delete("", prefix=True) == 2


async def test_a_transaction_does_one_side_or_the_other(etcd):
    async with Etcd(etcd.endpoint) as client:
        absent = Compare("txn/a", "created", "=", 0)
        made = await client.transact([absent], [Put("txn/a", b"1"), Get("txn/b")])
        again = await client.transact([absent], [Put("txn/a", b"2")], [Get("txn/a")])

        assert made.succeeded and made.answers == [None, []]
        assert not again.succeeded and again.answers[0][0].value == b"1"
        assert again.revision == made.revision
        held = [Compare("txn/a", "value", "=", b"1"), Compare("txn/a", "version", "<", 2)]
        ended = await client.transact(held, [Delete("txn/", prefix=True)])
        assert ended.succeeded and ended.answers == [1]


async def test_what_was_compacted_cannot_be_read(new_etcd):
    async with Etcd(new_etcd().endpoint) as client:
        first = await client.put("a", b"1")
        second = await client.put("a", b"2")
        await client.compact(second, physical=True)

        with pytest.raises(Compacted, match="read afresh"):
            await client.get("a", revision=first)
        with pytest.raises(Compacted):
            await client.compact(first)


async def test_a_refusal_says_who_and_why(etcd):
    async with Etcd(etcd.endpoint) as client:
        with pytest.raises(RemoteError, match=r"etcd 127.0.0.1:\d+: .*duplicate key"):
            await client.transact([], [Put("a", b""), Put("a", b"")])
        with pytest.raises(LeaseLost, match="lease not found"):
            await client.put("a", b"", lease=12345)


async def test_without_a_server_nothing_was_asked():
    async with Etcd(f"127.0.0.1:{free_port()}", timeout=1.0) as client:
        with pytest.raises(ConnectError, match=r"refused the connection; nothing was asked"):
            await client.put("a", b"")


async def test_an_endpoint_that_is_dead_costs_nothing_but_time(etcd):
    async with Etcd(f"127.0.0.1:{free_port()}", etcd.endpoint.removeprefix("http://")) as client:
        for _ in range(4):
            await client.put("failover", b"")


async def test_an_answer_that_does_not_come_leaves_it_open(new_etcd):
    server = new_etcd()
    async with Etcd(server.endpoint, timeout=1.0) as client:
        await client.put("a", b"")
        server.pause()
        with pytest.raises(ReadError, match="whether it was done is unknown"):
            await client.put("a", b"")
        server.resume()


async def test_a_reading_survives_a_restart(new_etcd):
    server = new_etcd()
    async with Etcd(server.endpoint, timeout=60) as client:
        await client.put("a", b"1")
        server.kill()
        reading = asyncio.create_task(client.get("a"))
        await asyncio.to_thread(server.start)

        assert (await reading).value == b"1"


def call(server, path, body):
    request = urllib.request.Request(f"{server.endpoint}/v3/{path}", json.dumps(body).encode())
    urllib.request.urlopen(request, timeout=10).read()


async def test_a_user_logs_in_and_again_when_users_change(new_etcd):
    server = new_etcd()
    for path, body in [
        ("auth/user/add", {"name": "root", "password": "secret"}),
        ("auth/user/grant", {"user": "root", "role": "root"}),
        ("auth/enable", {}),
    ]:
        await asyncio.to_thread(call, server, path, body)
    async with Etcd(server.endpoint, username="root", password="secret") as client:
        await client.put("a", b"")
        client._wire._token = "one.1"  # as if it had run out
        await client.put("a", b"2")
        client._wire._token = "one.1"
        async with client.watch("a", revision=1) as watch:
            assert len((await anext(watch)).entries) == 2
    async with Etcd(server.endpoint, username="root", password="wrong") as client:
        with pytest.raises(RemoteError, match="authentication failed"):
            await client.put("a", b"")
        with pytest.raises(RemoteError, match="authentication failed"):
            await anext(client.watch("a"))
    async with Etcd(server.endpoint) as client:
        with pytest.raises(RemoteError, match="user name is empty"):
            await client.put("a", b"")


async def test_certificates_on_both_sides(new_etcd, tmp_path):
    authority = trustme.CA()
    ca, mine = str(tmp_path / "ca.pem"), str(tmp_path / "mine.pem")
    authority.cert_pem.write_to_path(ca)
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(mine)
    issued = authority.issue_cert("127.0.0.1")
    key, chain = str(tmp_path / "key.pem"), str(tmp_path / "chain.pem")
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(chain)
    server = new_etcd(
        f"--cert-file={chain}",
        f"--key-file={key}",
        "--client-cert-auth",
        f"--trusted-ca-file={ca}",
        scheme="https",
    )
    async with Etcd(server.endpoint, ca_certs=ca, certfile=mine) as client:
        assert await client.put("a", b"") == 2
    async with Etcd(server.endpoint, timeout=0.5) as client:
        with pytest.raises(ConnectError):
            await client.put("a", b"")
    missing = Etcd(server.endpoint, ca_certs=str(tmp_path / "none.pem"))
    with pytest.raises(BadSettings, match=r"none\.pem"):
        await missing.put("a", b"")


async def test_closing_fails_what_waits_and_what_begins_until_it_is_opened_again(etcd):
    found = asyncio.Event()
    async with Etcd(etcd.endpoint) as client:
        watch = client.watch("closing", found=found.set)
        waiting = asyncio.create_task(anext(watch))
        await found.wait()
        await client.put("closing/other", b"")

    with pytest.raises(ConnectError, match="the client was closed"):
        await waiting
    with pytest.raises(ConnectError, match="the client was closed"):
        await client.get("closing")
    async with client:
        assert await client.get("closing") is None


async def test_an_endpoint_that_says_nothing_is_left_for_the_next(etcd):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        where = f"127.0.0.1:{deaf.getsockname()[1]}"
        async with Etcd(where, timeout=1.0, connect_timeout=0.1) as client:
            with pytest.raises(ConnectError, match=r"no connection within 0.1 s"):
                await client.get("a")
        both = (where, etcd.endpoint.removeprefix("http://"))
        async with Etcd(*both, timeout=30.0, connect_timeout=0.1) as client:
            assert await client.get("deaf") is None


async def test_a_silent_connection_is_left_although_no_ping_has_told(new_etcd, toxiproxy):
    server = new_etcd()
    port = toxiproxy.between("etcd", server.port)
    async with Etcd(f"127.0.0.1:{port}", ping=100.0, timeout=1.0, connect_timeout=0.5) as client:
        await client.put("a", b"")
        await asyncio.to_thread(toxiproxy.cut, "etcd")
        with pytest.raises(ReadError):
            await client.get("a")
        await asyncio.to_thread(toxiproxy.heal)
        client._wire.options = Options(timeout=30.0)
        assert (await client.get("a")).version == 1
        assert client.statistics().connected >= 2


async def test_a_deadline_of_the_caller_ends_a_call(new_etcd):
    server = new_etcd()
    async with Etcd(server.endpoint) as client:
        await client.put("a", b"")
        server.pause()
        with pytest.raises(DeadlineExceeded), deadline(0.1):
            await client.get("a")
        server.resume()


def test_endpoints_are_of_one_scheme():
    with pytest.raises(BadSettings, match="of one scheme"):
        Etcd("https://a:2379", "b:2379")


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    messages.cache_clear()
    with pytest.raises(BadSettings, match=r"megahertz\[etcd\]"):
        Etcd("127.0.0.1:2379")
    monkeypatch.undo()
    messages.cache_clear()


def test_pauses_grow_differ_and_end():
    options = Options(backoff=1.0, longest_backoff=8.0)
    pauses = [options.pause(attempt) for attempt in [100] * 50]

    assert max(pauses) <= 8.0
    assert len(set(pauses)) > 1
