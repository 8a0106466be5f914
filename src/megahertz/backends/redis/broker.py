"""Redis as a broker: its pub/sub, over redis-py.

Pub/sub promises nothing to who is not connected: messages of the time without a connection are
lost, and Redis itself cuts off a subscriber that does not read (client-output-buffer-limit).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from megahertz.errors import BadSettings, ConnectError, RemoteError

try:
    import redis.asyncio as redis
    from redis.exceptions import ConnectionError as Disconnected
    from redis.exceptions import RedisError
    from redis.exceptions import TimeoutError as TimedOut
except ImportError:  # the extra `megahertz[redis]`
    redis = None  # type: ignore[assignment]

log = logging.getLogger("megahertz")

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
"""Seconds before another try to subscribe, doubled each time."""


class RedisBroker:
    """Publishes and subscribes; connects when it is first asked to.

    Args:
        url: `redis://user:password@host:6379/0`, or `rediss://` for TLS.
        timeout: seconds for a connection, and for a message.
    """

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        if redis is None:
            raise BadSettings("RedisBroker needs redis-py: pip install 'megahertz[redis]'")
        self._url = url
        self._client: Any = redis.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout
        )
        # A subscriber may hear nothing for hours: it has no timeout but that of connecting.
        self._listener: Any = redis.Redis.from_url(url, socket_connect_timeout=timeout)
        self._subscribed = 0

    async def publish(self, channel: str, message: bytes) -> None:
        """Sends to every subscriber that is connected to Redis now.

        Raises:
            ConnectError: Redis is not there.
            RemoteError: it is, and refuses.
        """
        try:
            await self._client.publish(channel, message)
        except (Disconnected, TimedOut, OSError) as error:
            raise ConnectError(f"{self._url}: {error}") from error
        except RedisError as error:
            raise RemoteError(f"{self._url}: {error}") from error

    @asynccontextmanager
    async def subscribe(
        self, channel: str, receive: Callable[[bytes], None]
    ) -> AsyncIterator[None]:
        """Calls `receive` with every message on `channel`; entered once Redis is listening.

        Raises:
            ConnectError: Redis is not there.
        """
        pubsub = self._listener.pubsub(ignore_subscribe_messages=True)
        self._subscribed += 1
        try:
            await self._begin(pubsub, channel)
            task = asyncio.create_task(self._listen(pubsub, receive), name="redis broker")
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait([task])
        finally:
            await pubsub.aclose()
            self._subscribed -= 1
            if not self._subscribed:
                await self._listener.aclose()
                await self._client.aclose()

    async def _begin(self, pubsub: Any, channel: str) -> None:
        try:
            await pubsub.subscribe(channel)
        except (RedisError, OSError) as error:
            raise ConnectError(f"{self._url}: {error}") from error

    async def _listen(self, pubsub: Any, receive: Callable[[bytes], None]) -> None:
        delay = FIRST_DELAY
        while True:
            try:
                async for message in pubsub.listen():
                    delay = FIRST_DELAY
                    receive(message["data"])
            except (RedisError, OSError) as error:
                log.warning("%s: %s; subscribing again in %.1f s", self._url, error, delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)
