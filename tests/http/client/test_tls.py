"""A service over TLS: its instances are asked by its name, and show the certificate of that."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
import trustme

from megahertz import App, Client, Request, StreamingResponse
from megahertz.engine import ClientTlsConfig, Server, Tls
from megahertz.errors import ConnectError
from megahertz.govern import Upstream
from megahertz.govern.balance import Group, Instance

PATIENCE = 60


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@asynccontextmanager
async def serving(authority, folder, name):
    """A server of that name; gives its port."""
    issued = authority.issue_cert(name)
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    app = App()

    @app.get("/")
    async def handler(request: Request) -> str:
        return request.headers["host"]

    @app.post("/length")
    async def length(request: Request) -> int:
        return sum([len(piece) async for piece in request.stream()])

    @app.get("/feed")
    async def feed() -> StreamingResponse:
        async def pieces():
            for number in range(100):
                yield f"{number}\n".encode()

        return StreamingResponse(pieces())

    sock = socket.create_server(("127.0.0.1", 0))
    server = Server(app, [sock], tls=Tls(certificates=[(chain, key)]))
    async with server:
        yield sock.getsockname()[1]
        await server.stop(1.0, spread=0.0)


def trusting(authority):
    return ClientTlsConfig(authority.cert_pem.bytes())


def test_an_instance_is_known_by_the_name_of_its_service(authority, tmp_path):
    async def test():
        async with serving(authority, tmp_path, "orders.internal") as port:
            group = Group("orders", [Instance(host="127.0.0.1", port=port)])
            tls = trusting(authority)
            async with (
                asyncio.timeout(PATIENCE),
                Client("https://orders.internal", tls=tls, upstream=Upstream(group)) as client,
            ):
                response = await client.get("/")

            assert response.text == "orders.internal"
            assert str(response.url) == "https://orders.internal/"
            assert response.http_version == "HTTP/2"

    asyncio.run(test())


def test_a_certificate_of_another_name_is_refused(authority, tmp_path):
    async def test():
        async with serving(authority, tmp_path, "other.internal") as port:
            group = Group("orders", [Instance(host="127.0.0.1", port=port)])
            tls = trusting(authority)
            async with (
                asyncio.timeout(PATIENCE),
                Client("https://orders.internal", tls=tls, upstream=Upstream(group)) as client,
            ):
                with pytest.raises(ConnectError):
                    await client.get("/")

    asyncio.run(test())


def test_who_is_not_trusted_is_not_asked(authority, tmp_path):
    async def test():
        async with (
            asyncio.timeout(PATIENCE),
            serving(authority, tmp_path, "localhost") as port,
            Client(f"https://localhost:{port}", tls=trusting(trustme.CA())) as client,
        ):
            with pytest.raises(ConnectError):
                await client.get("/")

    asyncio.run(test())


def test_a_client_asks_over_tls(authority, tmp_path):
    async def test():
        async with (
            asyncio.timeout(PATIENCE),
            serving(authority, tmp_path, "localhost") as port,
            Client(f"https://localhost:{port}", tls=trusting(authority)) as client,
        ):
            assert (await client.get("/")).text == f"localhost:{port}"

    asyncio.run(test())


async def pieces(count):
    for _ in range(count):
        yield b"x" * 10_000


def test_calls_share_a_connection_of_http2(authority, tmp_path):
    """Streams both ways, many calls at once, and one that is given up in the middle."""

    async def test():
        async with (
            asyncio.timeout(PATIENCE),
            serving(authority, tmp_path, "localhost") as port,
            Client(f"https://localhost:{port}", tls=trusting(authority)) as client,
        ):
            await client.get("/")
            sent = [client.post("/length", content=pieces(n)) for n in range(20)]
            found = [answer.json() for answer in await asyncio.gather(*sent)]
            async with client.stream("GET", "/feed") as response:
                lines = [line async for line in response.aiter_lines()]
                assert response.http_version == "HTTP/2"
            async with client.stream("GET", "/feed") as response:
                async for _ in response.aiter_bytes():
                    break
            await client.get("/")

            assert found == [n * 10_000 for n in range(20)]
            assert lines == [str(number) for number in range(100)]
            assert client.statistics().pool.dialled == 1

    asyncio.run(test())
