"""Redis as a broker: its pub/sub.

Pub/sub promises nothing to who is not connected: messages of the time without a connection are
lost, and Redis itself cuts off a subscriber that does not read (client-output-buffer-limit).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from megahertz.backends.redis.client import Redis
from megahertz.backends.redis.subscriber import PubSub
from megahertz.errors import ConnectError

log = logging.getLogger("megahertz")

LONGEST_PAUSE = 0.25
"""Seconds between two attempts to connect: what is published before the next one fails."""


class RedisBroker:
    """Publishes and subscribes; connects when it is first asked to.

    Args:
        url: `redis://user:password@host:6379/0`, or `rediss://` for TLS.
        timeout: seconds for a connection, and for a message.
    """

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self._url, self._timeout = url, timeout
        self._redis = Redis.from_url(
            url, timeout=timeout, connect_timeout=timeout, longest_backoff=LONGEST_PAUSE
        )
        self._subscribed = 0

    async def publish(self, channel: str, message: bytes) -> None:
        """Sends to every subscriber that is connected to Redis now.

        Raises:
            ConnectError: Redis is not there.
            RemoteError: it is, and refuses.
        """
        await self._redis.publish(channel, message)

    @asynccontextmanager
    async def subscribe(
        self, channel: str, receive: Callable[[bytes], None]
    ) -> AsyncIterator[None]:
        """Calls `receive` with every message on `channel`; entered once Redis is listening.

        Raises:
            ConnectError: Redis is not there.
        """
        self._subscribed += 1
        try:
            async with self._redis.pubsub() as news:
                await self._begin(news, channel)
                task = asyncio.create_task(self._listen(news, receive), name="redis broker")
                try:
                    yield
                finally:
                    task.cancel()
                    await asyncio.wait([task])
        finally:
            self._subscribed -= 1
            if not self._subscribed:
                await self._redis.aclose()

    async def _begin(self, news: PubSub, channel: str) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await news.subscribe(channel)
                while (await news.get_message(timeout=None) or {}).get("type") != "subscribe":
                    pass  # not yet
        except TimeoutError:
            late = f"{self._url}: not subscribed within {self._timeout:g} s"
            raise ConnectError(late) from None

    async def _listen(self, news: PubSub, receive: Callable[[bytes], None]) -> None:
        async for message in news.listen():
            if message["type"] == "message":
                receive(message["data"])
            elif message["type"] == "lost":
                log.warning("%s: %s; subscribing again", self._url, message["data"])
