"""Waiting for what a registry's follower finds out by itself."""

import asyncio


async def until(condition):
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
