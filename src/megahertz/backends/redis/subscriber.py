"""Pub/sub: channels and patterns on a connection of its own.

What one subscribes to is remembered, and said again on the next connection when one is lost.
Messages of the time in between are lost: Redis keeps none.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from megahertz.backends.redis.address import Address
from megahertz.backends.redis.connection import Connection, Locate
from megahertz.backends.redis.options import Options
from megahertz.errors import ConnectError, Misused

Handler = Callable[[dict[str, Any]], Any]
Message = dict[str, Any]

BUFFER = 1000
"""Messages that may wait before nothing more is read, and the server keeps them (and at last cuts
the subscriber off: client-output-buffer-limit pubsub, 32 MiB)."""

_SAYS = {"channels": "SUBSCRIBE", "patterns": "PSUBSCRIBE", "shards": "SSUBSCRIBE"}
_MESSAGES = ("message", "pmessage", "smessage")
_ENDS = ("unsubscribe", "punsubscribe", "sunsubscribe")


class PubSub:
    """A subscriber, with redis-py's habits.

        async with redis.pubsub() as news:
            await news.subscribe("orders")
            async for message in news.listen():
                print(message["channel"], message["data"])

    Args:
        ignore_subscribe_messages: `listen` and `get_message` only give messages.
    """

    def __init__(
        self,
        address: Address,
        options: Options,
        *,
        ignore_subscribe_messages: bool = False,
        locate: Locate | None = None,
    ) -> None:
        self._address, self._options, self._locate = address, options, locate
        self._ignores = ignore_subscribe_messages
        self._connection: Connection | None = None
        self._wanted: dict[str, dict[Any, Handler | None]] = {kind: {} for kind in _SAYS}
        self._messages: deque[Message | Exception] = deque()
        self._news = asyncio.Event()
        self._paused = False

    @property
    def subscribed(self) -> bool:
        """Whether there is anything to hear."""
        return any(self._wanted.values())

    @property
    def channels(self) -> dict[Any, Handler | None]:
        """Those subscribed to, and who handles their messages."""
        return self._wanted["channels"]

    @property
    def patterns(self) -> dict[Any, Handler | None]:
        """Patterns subscribed to."""
        return self._wanted["patterns"]

    async def subscribe(self, *args: Any, **kwargs: Handler) -> None:
        """Channels, or `channel=handler`: its messages go there instead of `listen`."""
        await self._add("channels", args, kwargs)

    async def psubscribe(self, *args: Any, **kwargs: Handler) -> None:
        """Patterns, `news.*`."""
        await self._add("patterns", args, kwargs)

    async def ssubscribe(self, *args: Any, **kwargs: Handler) -> None:
        """Channels of a shard, in a cluster."""
        await self._add("shards", args, kwargs)

    async def unsubscribe(self, *args: Any) -> None:
        """From these channels, or from all."""
        await self._remove("channels", args)

    async def punsubscribe(self, *args: Any) -> None:
        """From patterns."""
        await self._remove("patterns", args)

    async def sunsubscribe(self, *args: Any) -> None:
        """From channels of a shard."""
        await self._remove("shards", args)

    async def _add(self, kind: str, names: tuple[Any, ...], handled: dict[str, Handler]) -> None:
        new = {self._named(name): None for name in names}
        new |= {self._named(name): handler for name, handler in handled.items()}
        if not new:
            raise Misused("name what to subscribe to")
        self._wanted[kind] |= new
        if self._connection is None:
            # Whatever is wanted is said once it is connected, behind the PING.
            await self._open().link.command(("PING",), None, False, self._options.timeout)
        elif self._connection.link.up:
            self._connection.link.say(_SAYS[kind], *new)

    async def _remove(self, kind: str, names: tuple[Any, ...]) -> None:
        wanted = self._wanted[kind]
        gone = [self._named(name) for name in names] or list(wanted)
        for name in gone:
            wanted.pop(name, None)
        if self._connection is not None and self._connection.link.up and gone:
            prefix, _, rest = _SAYS[kind].rpartition("SUBSCRIBE")
            self._connection.link.say(f"{prefix}UN{rest}SUBSCRIBE", *gone)

    def _named(self, name: Any) -> Any:
        """As messages name it."""
        if self._options.decode_responses:
            return name.decode(self._options.encoding) if isinstance(name, bytes) else name
        return name.encode(self._options.encoding) if isinstance(name, str) else name

    def _open(self) -> Connection:
        self._connection = connection = Connection(
            self._address,
            self._options,
            push=self._heard,
            ready=self._again,
            lost=self._lost,
            patient=True,
            locate=self._locate,
        )
        connection.open()
        return connection

    def _again(self) -> None:
        """A new connection knows nothing."""
        for kind, wanted in self._wanted.items():
            if wanted and self._connection is not None:
                self._connection.link.say(_SAYS[kind], *wanted)

    def _lost(self, why: str) -> None:
        """What was said meanwhile is lost: whoever counts on it can see that."""
        self._put({"type": "lost", "pattern": None, "channel": None, "data": why})

    def _heard(self, said: Any) -> None:
        if isinstance(said, Exception):
            self._messages.append(said)
            self._news.set()
            return
        kind = said[0].decode() if isinstance(said[0], bytes) else said[0]
        pattern = said[1] if kind == "pmessage" else None
        *_, channel, data = said if len(said) > 2 else (*said, None)
        self._put({"type": kind, "pattern": pattern, "channel": channel, "data": data})

    def _put(self, message: Message) -> None:
        self._messages.append(message)
        self._news.set()
        if len(self._messages) >= BUFFER and self._connection is not None and not self._paused:
            self._paused = True
            self._connection.link.pause(True)

    def _take(self) -> Message | None:
        message = self._messages.popleft()
        if not self._messages:
            self._news.clear()
        if self._paused and len(self._messages) < BUFFER // 2 and self._connection is not None:
            self._paused = False
            self._connection.link.pause(False)
        if isinstance(message, Exception):
            raise message
        return message

    def _handler(self, message: Message) -> Handler | None:
        if message["type"] == "pmessage":
            return self.patterns.get(message["pattern"])
        kind = "shards" if message["type"] == "smessage" else "channels"
        return self._wanted[kind].get(message["channel"])

    async def _handled(self, message: Message, ignore_subscribe_messages: bool) -> Message | None:
        if message["type"] not in _MESSAGES:
            return None if ignore_subscribe_messages else message
        handler = self._handler(message)
        if handler is None:
            return message
        answer = handler(message)
        if inspect.isawaitable(answer):
            await answer
        return None

    async def get_message(
        self, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0
    ) -> Message | None:
        """The next message, or None where none comes within seconds (None: however long).

        Raises:
            ReplyError: the server refused a subscription.
        """
        if not self._messages:
            if timeout == 0.0:
                await asyncio.sleep(0)
            else:
                try:
                    async with asyncio.timeout(timeout):
                        await self._news.wait()
                except TimeoutError:
                    return None
        if not self._messages:
            return None
        message = self._take()
        assert message is not None
        return await self._handled(message, self._ignores or ignore_subscribe_messages)

    async def listen(self) -> AsyncIterator[Message]:
        """Messages as they come, until nothing is subscribed to."""
        while self.subscribed or self._messages:
            message = await self.get_message(timeout=None)
            if message is not None:
                yield message

    async def run(
        self, *, exception_handler: Callable[[Exception, Self], Any] | None = None
    ) -> None:
        """Has handlers called, until cancelled.

        Raises:
            Misused: something is subscribed to without a handler.
        """
        for wanted in self._wanted.values():
            if None in wanted.values():
                raise Misused("run() needs a handler for all that is subscribed to")
        while True:
            try:
                await self.get_message(ignore_subscribe_messages=True, timeout=None)
            except Exception as error:
                if exception_handler is None:
                    raise
                answer = exception_handler(error, self)
                if inspect.isawaitable(answer):
                    await answer

    async def ping(self, message: Any = b"") -> None:
        """Returns once the server has answered; over RESP2, a message `pong` tells of that.

        Raises:
            ConnectError: nothing was ever subscribed to.
        """
        if self._connection is None:
            raise ConnectError("subscribe first: there is no connection")
        words = ("PING", *((message,) if message else ()))
        if self._connection.protocol == 3:
            await self._connection.link.command(words, None, False, self._options.timeout)
        else:
            self._connection.link.say(*words)

    async def aclose(self) -> None:
        """Ends it; what waits is forgotten."""
        for wanted in self._wanted.values():
            wanted.clear()
        self._messages.clear()
        self._news.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    reset = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()
