"""A server whose every answer is another's, passed on: an upstream by script, and who asks."""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from megahertz import App, Client, Policy, RelayResponse, Request
from megahertz.engine import Server
from megahertz.settings import Limits
from tests.engine.conftest import Peer as Downstream
from tests.engine.origin import Peer as Upstream

PATIENCE = 60


@dataclass
class Relaying:
    """Both ends, and what is between them."""

    upstream: Upstream
    client: Client
    server: Server
    app: App
    port: int
    peers: list[Downstream] = field(default_factory=list)

    async def peer(self, **options) -> Downstream:
        """Another one that asks."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **options)
        self.peers.append(Downstream(reader, writer))
        return self.peers[-1]

    async def ask(self, request=b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", *said: bytes):
        """One request, which the upstream has heard and said something to; and who asked."""
        peer = await self.peer()
        await peer.send(request)
        asked = await self.heard()
        await asked.say(*said)
        return peer, asked

    async def heard(self):
        """The next request of the upstream."""
        return await asyncio.wait_for(self.upstream.heard.get(), PATIENCE)

    async def upstream_closed(self) -> None:
        """The upstream's connection has ended."""
        await asyncio.wait_for(self.upstream.closed.wait(), PATIENCE)


@asynccontextmanager
async def relaying(
    *, secure=None, tls=None, deadline=None, silence=PATIENCE, limits=None, layers=(), **options
):
    """`secure` and `tls`: the upstream's and the client's; `options`: the client's."""
    async with AsyncExitStack() as stack:
        upstream = Upstream()
        origin = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=secure)
        scheme, port = "https" if secure else "http", origin.sockets[0].getsockname()[1]
        stack.callback(origin.close)
        stack.callback(upstream.over.set)
        client = Client(f"{scheme}://127.0.0.1:{port}", tls=tls, keep_cookies=False, **options)
        await stack.enter_async_context(client)
        app = App(policy=Policy(deadline=deadline), layers=list(layers))

        @app.get("/{*rest}")
        async def relay(rest: str, request: Request) -> RelayResponse:
            answer = await client.stream(request.method, f"/{rest}")
            answer.silence = silence
            return RelayResponse(answer, headers={"via": "1.1 us"})

        sock = socket.create_server(("127.0.0.1", 0))
        server = Server(app, [sock], limits=limits or Limits())
        await stack.enter_async_context(server)
        stack.push_async_callback(server.stop, 0.0, spread=0.0)
        found = Relaying(upstream, client, server, app, sock.getsockname()[1])
        stack.callback(lambda: [peer.close() for peer in found.peers])
        yield found
