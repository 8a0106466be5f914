"""What the scope says of a connection that is not plain HTTP/1.1."""

import socket
import ssl

import httpx
import pytest
import trustme

from megahertz.engine import Server, Tls
from megahertz.http import AsgiHost
from tests.engine.conftest import identity


async def show(scope, receive, send):
    said = [scope[name] for name in ("scheme", "http_version", "path", "root_path")]
    said += [dict(scope["headers"])[b"host"].decode(), scope["server"][1], scope["client"][0]]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": repr(said).encode()})


@pytest.mark.parametrize("http2", [True, False], ids=["http2", "http1"])
async def test_the_scope_over_tls(tmp_path, http2):
    ca = trustme.CA()
    tls = Tls(certificates=[identity(tmp_path, "localhost", ca=ca)])
    context = ssl.create_default_context()
    ca.configure_trust(context)
    host = AsgiHost(show, root_path="/api/", lifespan="off")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        async with (
            Server(host, [sock], tls=tls),
            httpx.AsyncClient(http1=not http2, http2=http2, verify=context) as client,
        ):
            reply = await client.get(f"https://localhost:{port}/a")
    version = "2" if http2 else "1.1"
    expected = ["https", version, "/api/a", "/api", f"localhost:{port}", port, "127.0.0.1"]
    assert reply.text == repr(expected)
