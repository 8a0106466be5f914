"""A small server of Consul's documented HTTP API: an agent with services, checks and an index.

Written from the documentation ("Blocking Queries", "Health", "Agent: Service", "Agent: Check"); the
real agent cannot be had here. It forgets, turns its index back and fails when it is told to.
"""

import asyncio
import socket
from contextlib import asynccontextmanager

from megahertz import App, Request, Response
from megahertz.engine import Server


class Agent:
    def __init__(self, token=None):
        self.services, self.checks = {}, {}
        self.index, self.failing, self.token = 10, 0, token
        self.waits, self.asked = [], 0
        self._changed = asyncio.Condition()
        self.app = app = App(policy=None)
        app.get("/v1/health/service/{name}")(self.health)
        app.put("/v1/agent/service/register")(self.register)
        app.put("/v1/agent/service/deregister/{own}")(self.deregister)
        app.put("/v1/agent/check/update/{own}")(self.update)
        app.get("/v1/agent/service/{own}")(self.service)

    async def changed(self, index=None):
        self.index = self.index + 1 if index is None else index
        async with self._changed:
            self._changed.notify_all()

    def refusal(self, request):
        self.asked += 1
        if self.failing:
            self.failing -= 1
            return Response("No cluster leader", status_code=500)
        if self.token is not None and request.headers.get("x-consul-token") != self.token:
            return Response("Permission denied", status_code=403)
        return None

    async def health(self, name: str, request: Request) -> Response:
        refused = self.refusal(request)
        if refused is not None:
            return refused
        index = int(request.query_params.get("index", "0"))
        if index:
            self.waits.append(request.query_params["wait"])
            seconds = int(self.waits[-1].removesuffix("ms")) / 1000
            try:
                async with asyncio.timeout(seconds), self._changed:
                    await self._changed.wait_for(lambda: self.index != index)
            except TimeoutError:
                pass
        found = [
            {
                "Node": {"Node": "n1", "Address": "10.9.9.9"},
                "Service": {**it, "Service": it["Name"]},
                "Checks": [{"CheckID": "serfHealth", "Status": "passing", "Output": "alive"}]
                + [check for check in self.checks.values() if check["ServiceID"] == it["ID"]],
            }
            for it in self.services.values()
            if it["Name"] == name
        ]
        return self.json(found, {"X-Consul-Index": str(self.index)})

    async def register(self, request: Request) -> Response:
        refused = self.refusal(request)
        if refused is not None:
            return refused
        told = await request.json()
        check = told.pop("Check", None)
        self.services[told["ID"]] = told
        if check is not None:
            status = {"Status": check.get("Status", "critical"), "Output": ""}
            self.checks[check["CheckID"]] = {**check, **status, "ServiceID": told["ID"]}
        await self.changed()
        return Response(b"")

    async def deregister(self, own: str, request: Request) -> Response:
        refused = self.refusal(request)
        if refused is not None:
            return refused
        if own not in self.services:
            return Response(f"Unknown service ID {own!r}", status_code=404)
        await self.forget(own)
        return Response(b"")

    async def forget(self, own):
        del self.services[own]
        self.checks = {key: it for key, it in self.checks.items() if it["ServiceID"] != own}
        await self.changed()

    async def update(self, own: str, request: Request) -> Response:
        refused = self.refusal(request)
        if refused is not None:
            return refused
        if own not in self.checks:
            return Response(f"Unknown check ID {own!r}", status_code=404)
        await self.become(own, **await request.json())
        return Response(b"")

    async def become(self, own, **fields):
        self.checks[own] |= fields
        await self.changed()

    async def service(self, own: str, request: Request) -> Response:
        refused = self.refusal(request)
        if refused is not None:
            return refused
        if own not in self.services:
            return Response(f"unknown service ID: {own}", status_code=404)
        return self.json(self.services[own], {})

    def json(self, found, headers):
        body = self.app.encode(found)
        return Response(body, media_type="application/json", headers=headers)


@asynccontextmanager
async def running(agent):
    """Gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with Server(agent.app, [listening]) as server:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            await server.stop(0.1)
