"""Who asked, as a proxy tells it, and whether it is believed."""

import asyncio
import contextlib
import json
import socket

import pytest

from megahertz import GCRA, App, HTTPSRedirect, Policy, Request, WebSocket
from megahertz.engine import Server
from megahertz.errors import BadSettings
from megahertz.http import AsgiHost


def make():
    app = App()

    @app.get("/")
    async def who(request: Request) -> list[object]:
        client = request.client
        return [client and client.host, client and client.port, request.url.scheme]

    @app.get("/limited", policy=Policy(limit=GCRA(1, per=60, key="client")))
    async def limited() -> str:
        return "ok"

    return app


@contextlib.asynccontextmanager
async def serve(service, *, unix=None, **options):
    if unix is None:
        sock = socket.create_server(("127.0.0.1", 0))
        where = sock.getsockname()
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(where := str(unix / "s"))
        sock.listen()
    with sock:
        async with Server(service, [sock], **options):

            async def ask(path="/", *fields):
                streams = asyncio.open_unix_connection(where) if unix else asyncio.open_connection(
                    *where
                )  # fmt: skip
                reader, writer = await streams
                lines = [f"GET {path} HTTP/1.1", "Host: a", "Connection: close", *fields, "", ""]
                writer.write("\r\n".join(lines).encode())
                try:
                    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                finally:
                    writer.close()
                return int(head.split(b" ")[1]), body

            yield ask


FORGED = "X-Forwarded-For: 6.6.6.6"
HTTPS = "X-Forwarded-Proto: https"


async def test_by_default_nobody_is_believed():
    async with serve(make()) as ask:
        host, port, scheme = json.loads((await ask("/", FORGED, HTTPS))[1])
        assert (host, scheme) == ("127.0.0.1", "http")
        assert port > 0


@pytest.mark.parametrize("proxies", [["127.0.0.1"], ["10.0.0.0/8", "127.0.0.0/8", "::1"]])
async def test_a_trusted_proxy_is_believed(proxies):
    async with serve(make(), proxies=proxies) as ask:
        _, body = await ask(
            "/", "X-Forwarded-For: 6.6.6.6, 1.2.3.4", HTTPS, "Forwarded: for=7.7.7.7"
        )
        assert json.loads(body) == ["1.2.3.4", 0, "https"]
        assert json.loads((await ask())[1])[0] == "127.0.0.1"


async def test_another_peer_is_not():
    async with serve(make(), proxies=["10.0.0.0/8"]) as ask:
        assert json.loads((await ask("/", FORGED, HTTPS))[1])[::2] == ["127.0.0.1", "http"]


async def test_only_the_field_that_was_chosen_counts():
    async with serve(make(), proxies=["127.0.0.1"], proxy_header="forwarded") as ask:
        fields = ["X-Forwarded-For: 6.6.6.6", 'Forwarded: for="[2001:db8::1]:80";proto=https']
        assert json.loads((await ask("/", *fields))[1]) == ["2001:db8::1", 80, "https"]


async def test_a_proxy_by_a_unix_socket(tmp_path):
    async with serve(make(), unix=tmp_path, proxies=["unix"]) as ask:
        assert json.loads((await ask("/", "X-Forwarded-For: 1.2.3.4"))[1])[0] == "1.2.3.4"
        assert json.loads((await ask())[1])[0] is None


async def test_limits_count_the_clients_and_not_their_proxy():
    async with serve(make(), proxies=["127.0.0.1"]) as ask:
        asked = ["1.1.1.1", "2.2.2.2", "1.1.1.1"]
        found = [(await ask("/limited", f"X-Forwarded-For: {host}"))[0] for host in asked]
        assert found == [200, 200, 429]


async def test_a_redirect_to_https_ends_behind_a_proxy_that_speaks_it():
    app = make()
    app.layer(HTTPSRedirect())
    async with serve(app, proxies=["127.0.0.1"]) as ask:
        assert (await ask("/"))[0] == 308
        assert (await ask("/", HTTPS))[0] == 200


async def test_a_websocket_knows_its_client_until_it_ends():
    app, seen, done = App(), [], asyncio.Event()

    @app.websocket("/")
    async def handler(websocket: WebSocket) -> None:
        seen.append(websocket.client.host)
        await websocket.accept()
        seen.append(websocket.client.host)
        done.set()

    shake = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    shake += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "X-Forwarded-For: 1.2.3.4"]
    async with serve(app, proxies=["127.0.0.1"]) as ask:
        asking = asyncio.create_task(ask("/", *shake))
        await done.wait()
        asking.cancel()
        await asyncio.wait([asking])
    assert seen == ["1.2.3.4", "1.2.3.4"]


async def test_an_asgi_application_is_told():
    seen = {}

    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        seen.update(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with serve(AsgiHost(application), proxies=["127.0.0.1"]) as ask:
        await ask("/", "X-Forwarded-For: 1.2.3.4", HTTPS)
    assert (seen["client"], seen["scheme"]) == (("1.2.3.4", 0), "https")


@pytest.mark.parametrize(
    "options",
    [
        {"proxies": ["10.0.0.1/8"]},
        {"proxies": ["proxy.example"]},
        {"proxies": [], "proxy_header": "x-real-ip"},
    ],
)
async def test_what_is_no_network_stops_the_start(options):
    with pytest.raises(BadSettings, match="trusted proxies"):
        async with serve(make(), **options):
            pass
