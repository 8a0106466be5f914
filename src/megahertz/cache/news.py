"""What other workers and machines have changed, as they say it.

Theory: pub/sub rather than Redis's own tracking (`Redis.track`): a Cluster, a Sentinel and a single
server have it alike; it tells what was changed on purpose, and not each fill and each key that got
a longer life to each worker, which would be as many messages as workers times fills; and a session
that slides would tell everybody every time. The price: who changes a key past us (redis-cli) is
not heard. The message is published by the script that makes the change, so nobody hears of it
before it can be read.

A connection that breaks without a word is found by asking: where nothing was said for `heartbeat`,
a PING has as long to come back. So it takes two of those at most to know that we are deaf.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from megahertz.errors import MegahertzError

if TYPE_CHECKING:
    from megahertz.backends import PubSub, Redis, RedisCluster

log = logging.getLogger("megahertz")

LONGEST_PAUSE: Final = 1.0
"""Seconds before another try to listen, doubled each time from a tenth of that."""


class News:
    """Listens on one channel while it runs.

    Args:
        said: called with what is published.
        hears: called with whether we hear, when that changes.
    """

    def __init__(
        self,
        redis: "Redis | RedisCluster",
        channel: str,
        *,
        heartbeat: float,
        said: Callable[[str], None],
        hears: Callable[[bool], None],
    ) -> None:
        self._redis, self._channel, self._heartbeat = redis, channel, heartbeat
        self._said, self._hears = said, hears
        self._heard = False

    async def run(self) -> None:
        """Until cancelled."""
        pause = LONGEST_PAUSE / 10
        while True:
            try:
                async with self._redis.pubsub() as news:
                    await self._listen(news)
            except (MegahertzError, TimeoutError, OSError) as error:
                if self._heard:
                    log.warning("%s: nobody tells what changes: %s", self._channel, error)
                    pause = LONGEST_PAUSE / 10
            finally:
                self._set(False)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _listen(self, news: "PubSub") -> None:
        async with asyncio.timeout(max(1.0, self._heartbeat)):
            await news.subscribe(self._channel)
        while True:
            message = await news.get_message(timeout=self._heartbeat)
            if message is None:
                async with asyncio.timeout(self._heartbeat):
                    await news.ping()
            else:
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "message":
            data = message["data"]
            self._said(data.decode(errors="replace") if isinstance(data, bytes) else data)
        elif message["type"] in ("subscribe", "lost"):
            self._set(message["type"] == "subscribe")

    def _set(self, heard: bool) -> None:
        if heard is not self._heard:
            self._heard = heard
            self._hears(heard)
