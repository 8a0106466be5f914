"""How a client connects, and what it does when it cannot."""

import asyncio
import os
import ssl

import pytest
import trustme

from megahertz.backends import Redis
from megahertz.backends.redis.address import from_url
from megahertz.errors import BadSettings, ConnectError, Misused, ReplyError

from .fake import faked


async def test_over_tcp_and_a_unix_socket(store):
    async with Redis("localhost", store.port, decode_responses=True) as redis:
        assert await redis.set("a", "ä")
        assert await redis.get("a") == "ä"
    async with Redis(unix_socket_path=store.path, db=3) as redis:
        assert await redis.get("a") is None
        assert await redis.set("a", 1)
    async with Redis.from_url(f"unix://{store.path}?db=3&decode_responses=true") as redis:
        assert await redis.get("a") == "1"
    async with Redis.from_url(
        store.url + "?encoding_errors=replace", decode_responses=True
    ) as redis:
        await redis.set("b", b"\xff")
        assert await redis.get("b") == "\ufffd"


async def test_a_text_that_is_none_is_its_waiters_error(store):
    async with Redis(port=store.port, decode_responses=True) as redis:
        await redis.set("a", b"\xff")
        wrong, right = redis.get("a"), redis.set("b", 1)
        with pytest.raises(UnicodeDecodeError):
            await wrong
        assert await right
    async with Redis(port=store.port, decode_responses=True, encoding="latin-1") as redis:
        assert await redis.get("a") == "\xff"


async def test_users_passwords_and_names(store):
    store.ask("ACL", "SETUSER", "ann", "on", ">secret", "~*", "+@all")
    url = f"redis://ann:secret@127.0.0.1:{store.port}/2"
    for protocol in (3, 2):
        async with Redis.from_url(url, client_name="shop", protocol=protocol) as redis:
            me = await redis.client_info()
            assert (me["user"], me["db"], me["name"]) == ("ann", "2", "shop")
            assert await redis.client_getname() == b"shop"
    wrong = Redis.from_url(f"redis://ann:wrong@127.0.0.1:{store.port}", retries=1)
    async with wrong as redis:
        with pytest.raises(ConnectError, match="WRONGPASS"):
            await redis.get("a")


async def test_a_server_before_hello():
    """Redis 5: answers what it does not know with an error, and speaks RESP2."""
    async with faked() as (fake, redis):
        fake.hello = b"-ERR unknown command `HELLO`\r\n"
        ping = redis.ping()
        assert await fake.heard.get() == [b"PING"]
        await fake.say(b"+PONG\r\n")
        assert await ping and fake.connections == 2


async def test_what_waits_fails_when_there_is_no_server_and_the_next_at_once(redis_server):
    redis_server.stop()
    async with Redis.from_url(redis_server.url, backoff=0.001) as redis:
        with pytest.raises(ConnectError, match="refused"):
            await redis.get("a")
        with pytest.raises(ConnectError, match="refused"):
            await redis.get("a")
        redis_server.start()
        while True:
            try:
                assert await redis.set("a", 1)
                break
            except ConnectError:
                await asyncio.sleep(0)
        assert redis.statistics()["connected"] == 1


async def test_a_server_that_is_killed_under_load(redis_server):
    """Every command ends, and with its own reply; reads are asked again."""
    async with Redis.from_url(redis_server.url, retries=1000, backoff=0.01) as redis:
        await redis.set("k", "v")

        async def asks(number):
            try:
                return await redis.echo(str(number)) == str(number).encode()
            except ConnectError:
                return None

        tasks = [asyncio.create_task(asks(number)) for number in range(500)]
        await asyncio.sleep(0)
        redis_server.stop()
        more = [asyncio.create_task(asks(number)) for number in range(500, 600)]
        await asyncio.sleep(0)
        redis_server.start()
        assert all(await asyncio.gather(*tasks, *more))


async def test_a_name_that_is_none():
    async with Redis("no-such-host.invalid", retries=1) as redis:
        with pytest.raises(ConnectError, match="no-such-host"):
            await redis.get("a")


async def test_a_name_that_is_looked_up_for_too_long(monkeypatch):
    async def never(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    async with Redis("localhost", retries=1, connect_timeout=0.01) as redis:
        with pytest.raises(ConnectError, match="no connection within 0"):
            await redis.get("a")


async def test_the_next_address_of_a_name_is_tried(store, monkeypatch):
    async def two(*_, **__):
        return [(0, 0, 0, "", (where, store.port)) for where in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)
    async with Redis("two.example", store.port, retries=1) as redis:
        assert await redis.ping()


async def test_a_server_that_accepts_and_says_nothing():
    async with faked(retries=1, connect_timeout=0.05) as (fake, redis):
        fake.hello = b""
        with pytest.raises(ConnectError, match="no connection within"):
            await redis.get("a")


async def test_closed_it_fails_what_waits_and_opens_again(store):
    redis = Redis(port=store.port)
    waiting = redis.get("a")
    await redis.aclose()
    with pytest.raises(ConnectError, match="closed"):
        await waiting
    assert await redis.initialize() is redis
    link = redis._connection.link
    await redis.aclose()
    with pytest.raises(ConnectError, match="closed"):
        await link.command(("GET", "a"))
    await redis.aclose()


async def test_what_would_change_the_shared_connection_is_refused(store):
    async with Redis(port=store.port) as redis:
        for name in ("MULTI", "subscribe", b"SELECT"):
            with pytest.raises(Misused, match="share"):
                redis.execute(name)
        with pytest.raises(ReplyError) as info:
            await redis.execute("NONSENSE")
        assert info.value.kind == "ERR"
        assert await redis.execute_command("CONFIG GET", "save") == {b"save": b""}


@pytest.mark.parametrize(
    "url",
    ["http://x", "redis://x:y", "redis://x/zero", "redis://x?timeout=soon", "redis://x?odd=1"],
)
def test_urls_that_are_none(url):
    with pytest.raises(BadSettings):
        Redis.from_url(url)


def test_urls():
    address, rest = from_url("rediss://ann:p%40ss@[::1]:7000/4?timeout=2&ssl_ca_certs=/ca.pem")
    assert (address.host, address.port, address.db, address.tls) == ("::1", 7000, 4, True)
    assert (address.username, address.password) == ("ann", "p@ss")
    assert (address.ca_certs, rest) == ("/ca.pem", {"timeout": "2"})
    assert "p@ss" not in str(address)
    redis = Redis.from_url("redis://x?socket_timeout=2", port=7, health_check_interval=3)
    assert (redis.options.timeout, redis.address.port) == (2.0, 7)


@pytest.fixture
def secure(tmp_path):
    """A root, and certificates of a server and of a client."""
    ca = trustme.CA()
    ours, theirs = ca.issue_cert("client"), ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, cert in (("ours", ours), ("theirs", theirs)):
        cert.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
    return tmp_path


async def test_over_tls_with_certificates_of_both_sides(secure):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=secure / "ca.pem")
    context.load_cert_chain(secure / "theirs.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    value = os.urandom(300_000)
    async with faked(secure=context, retries=1, ssl=True, **trusting(secure)) as (fake, redis):
        reply = redis.set("a", value)
        assert (await fake.heard.get())[2] == value
        await fake.say(b"+OK\r\n")
        assert await reply
        reply = redis.get("a")
        await fake.heard.get()
        await fake.say(b"$300000\r\n" + value + b"\r\n")
        assert await reply == value


def trusting(folder):
    return {
        "host": "localhost",
        "ssl_ca_certs": str(folder / "ca.pem"),
        "ssl_certfile": str(folder / "ours.pem"),
    }


async def test_over_tls_with_somebody_else(secure):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(secure / "theirs.pem")
    options = {**trusting(secure), "host": "127.0.0.1"}
    async with faked(secure=context, retries=1, ssl=True, **options) as (_, redis):
        with pytest.raises(ConnectError, match="certificate"):
            await redis.get("a")


async def test_files_of_tls_that_are_none(secure, tmp_path):
    (tmp_path / "junk").write_text("junk")
    for options in (
        {"ssl_ca_certs": "/nowhere"},
        {"ssl_ca_certs": str(tmp_path / "junk")},
        {**trusting(secure), "ssl_keyfile": str(tmp_path / "junk")},
    ):
        with pytest.raises(BadSettings, match="TLS"):
            Redis(**{**options, "ssl": True}).ping()
