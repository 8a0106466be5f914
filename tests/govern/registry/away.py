"""Calls to a service of three instances while its registries are away.

    python -m tests.govern.registry.away 60

A real etcd is killed and a server of Consul's API is closed for so many seconds; meanwhile a
`Client` of each registry asks real servers, and one of these ends. No call may fail, each instance
that lives is asked, and when the registries are back they know again who is there.
"""

import asyncio
import logging
import socket
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from megahertz import App, Client
from megahertz.backends import Consul, Etcd
from megahertz.engine import Server
from megahertz.govern import Group, Instance, Retry, Upstream
from megahertz.govern.registry import ConsulRegistry, EtcdRegistry, Following
from tests import cluster
from tests.govern.registry.agent import Agent
from tests.govern.registry.waiting import until

INSTANCES = 3


class Caller:
    """Asks without a pause, and knows who has answered."""

    def __init__(self, client):
        self._client = client
        self.answers, self.failures = Counter(), []

    async def run(self):
        while True:
            try:
                response = await self._client.get("/")
                self.answers[response.raise_for_status().text] += 1
            except Exception as error:
                self.failures.append(repr(error))
            await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(app, port=0):
    """Gives its port, on which it listens until the end."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        async with Server(app, [listening]) as server:
            yield listening.getsockname()[1]
            await server.stop(0.1)


def shop(number):
    """A service that says which one it is."""
    app = App(policy=None)

    @app.get("/")
    async def which() -> str:
        return str(number)

    return app


async def calling(stack, registry, instances):
    """Who asks the instances that a registry tells of; what follows it."""
    group = Group("orders")
    for instance in instances:
        await stack.enter_async_context(registry.register("orders", instance))
    following = await stack.enter_async_context(Following(registry, "orders", group))
    await until(lambda: len(group.instances) == len(instances))
    upstream = Upstream(group, retry=Retry())
    client = await stack.enter_async_context(Client("http://orders", upstream=upstream))
    caller = Caller(client)
    task = asyncio.create_task(caller.run())
    stack.callback(task.cancel)
    return caller, following


async def away(seconds, folder):
    """What each caller has seen: answers by instance, and failures."""
    etcd, agent = cluster.Etcd(folder), Agent()
    async with AsyncExitStack() as stack:
        stack.callback(etcd.kill)
        shops = [await stack.enter_async_context(AsyncExitStack()) for _ in range(INSTANCES)]
        ports = [
            await its.enter_async_context(serving(shop(number))) for number, its in enumerate(shops)
        ]
        instances = [Instance(host="127.0.0.1", port=port) for port in ports]
        consul_up = await stack.enter_async_context(AsyncExitStack())
        port = await consul_up.enter_async_context(serving(agent.app))
        client = await stack.enter_async_context(
            Etcd(etcd.endpoint, timeout=1.0, longest_backoff=0.5)
        )
        consul = await stack.enter_async_context(Consul(f"http://127.0.0.1:{port}", timeout=1.0))
        registries = [EtcdRegistry(client, ttl=1), ConsulRegistry(consul)]
        callers = [await calling(stack, registry, instances) for registry in registries]
        for caller, _ in callers:
            await until(lambda caller=caller: len(caller.answers) == INSTANCES)

        etcd.kill()
        await consul_up.aclose()
        await asyncio.sleep(seconds / 2)
        await shops.pop().aclose()
        for caller, _ in callers:
            # The call under way may have been answered before the instance ended.
            count = caller.answers.total()
            await until(lambda its=caller.answers, count=count: its.total() > count)
            caller.answers.clear()
        await asyncio.sleep(seconds / 2)
        seen = [(dict(it.answers), list(it.failures), f.statistics()) for it, f in callers]

        await asyncio.to_thread(etcd.start)
        await stack.enter_async_context(serving(agent.app, port))
        for _, following in callers:
            await until(lambda its=following: its.statistics().state == "following")
    return seen


def main(seconds):
    logging.getLogger("megahertz").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(away(seconds, Path(folder)))
    for name, (answers, failures, statistics) in zip(("etcd", "Consul"), seen, strict=True):
        print(
            f"{name} away for {seconds:g} s, one of {INSTANCES} instances for half of that: "
            f"{sum(answers.values()):,} answers in that half, {len(failures)} failures; "
            f"the list was kept ({statistics.instances}), the registry {statistics.state}"
        )
        assert not failures, failures[:3]
        assert statistics.state == "lost"
        assert len(answers) == INSTANCES - 1


if __name__ == "__main__":
    main(float(sys.argv[1]))
