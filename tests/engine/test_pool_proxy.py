"""Proxies: absolute-form for http, a tunnel for https."""

import asyncio
import ssl

import pytest
import trustme

from megahertz.engine import ClientTlsConfig, Origin, Pool, Proxy
from megahertz.errors import BadSettings, ConnectError, LocalProtocolError

from .origin import OK, peered

FIELDS = (("Proxy-Authorization", "Basic eA=="),)


async def test_http_is_asked_for_by_its_whole_address():
    async with peered() as (peer, proxy, pool):
        via = Proxy("http", proxy.host, proxy.port, FIELDS)
        there = Origin("http", "there.test", 80)
        sent = asyncio.ensure_future(pool.send(there, "GET", "/a?b", (), via=via))
        asked = await peer.heard.get()
        assert asked.line == "GET http://there.test/a?b HTTP/1.1"
        assert asked.fields == {"host": "there.test", "proxy-authorization": "Basic eA=="}
        await asked.say(OK)
        assert (await sent).status == 200


async def test_https_goes_through_a_tunnel():
    authority, secure = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("there.test").configure_cert(secure)
    tls = ClientTlsConfig(authority.cert_pem.bytes())
    async with peered(secure) as (peer, target, _), tunnelling(target.port) as (asked, port):
        pool = Pool(tls=tls)
        there, via = Origin("https", "there.test", 443), Proxy("http", "127.0.0.1", port, FIELDS)
        sent = asyncio.ensure_future(pool.send(there, "GET", "/", (), via=via))
        inner = await peer.heard.get()
        assert inner.fields == {"host": "there.test"}
        await inner.say(OK)
        assert (await sent).status == 200
        assert asked[0].startswith(b"CONNECT there.test:443 HTTP/1.1\r\nhost: there.test:443\r\n")
        assert b"Proxy-Authorization: Basic eA==\r\n" in asked[0]
        await pool.aclose()


class tunnelling:
    """A proxy that connects whoever asks with a port of ours."""

    def __init__(self, port: int) -> None:
        self._port, self._asked = port, []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._asked, self._server.sockets[0].getsockname()[1]

    async def __aexit__(self, *exc):
        self._server.close()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader, writer):
        self._asked.append(await reader.readuntil(b"\r\n\r\n"))
        there = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        for source, target in ((reader, there[1]), (there[0], writer)):
            self._tasks.append(asyncio.create_task(self._carry(source, target)))

    async def _carry(self, reader, writer):
        try:
            while octets := await reader.read(65_536):
                writer.write(octets)
        except ConnectionError:
            pass
        writer.close()


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n", b"nonsense\r\n\r\n", b""]
)
async def test_a_proxy_that_opens_no_tunnel_is_no_connection(said):
    async with peered() as (peer, proxy, pool):
        there, via = Origin("https", "there.test", 443), Proxy("http", proxy.host, proxy.port)
        sent = asyncio.ensure_future(pool.send(there, "GET", "/", (), via=via))
        asked = await peer.heard.get()
        if said:
            await asked.say(said)
        await asked.cut()
        with pytest.raises(ConnectError, match="proxy"):
            await sent


async def test_what_cannot_be_is_said():
    pool, there = Pool(), Origin("https", "there.test", 443)
    with pytest.raises(BadSettings):
        await pool.send(there, "GET", "/", (), via=Proxy("https", "a", 1))
    with pytest.raises(LocalProtocolError):
        await pool.send(there, "GET", "/", (), via=Proxy("http", "a", 1, (("a", "b\r\nc: d"),)))
    await pool.aclose()
