"""Workers that share a Redis, and hear each other."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

from megahertz.backends import Redis
from megahertz.cache import Remote

PATIENCE = 30.0
"""Seconds for whatever is real: the machine is busy."""


@asynccontextmanager
async def remotes(url, count, *, remote=None, client=None):
    """As many remotes, each with a client of its own: pairs of both."""
    remote = {"timeout": PATIENCE, "heartbeat": PATIENCE, **(remote or {})}
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            redis = await stack.enter_async_context(Redis.from_url(url, **(client or {})))
            found.append((redis, await stack.enter_async_context(Remote(redis, **remote))))
        yield found


async def heard(*remotes):
    """They hear whatever is told from here on."""
    async with asyncio.timeout(PATIENCE):
        for remote in remotes:
            await remote.hears()


async def until(condition):
    """Nobody tells a test what another worker has heard: it is asked."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)
