"""Server-sent events: an async iterator as `text/event-stream` (WHATWG HTML, section 9.2).

An idle stream costs one timer of the loop: it writes a comment now and then, so that proxies keep
the connection and a peer that has gone is noticed.
"""

import asyncio
import re
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from megahertz.engine import Exchange
from megahertz.errors import LocalProtocolError
from megahertz.http.encode import encode
from megahertz.http.request import Request
from megahertz.http.response import HeaderInput
from megahertz.http.stream import StreamingResponse, close
from megahertz.http.threads import Threads

HEARTBEAT = 15.0
"""Seconds (WHATWG section 9.2.7 recommends about 15 against proxies that close what is silent)."""

_LINES = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Event:
    """One event; any of its fields may be left out.

    Args:
        data: text of any number of lines; anything else is sent as JSON.
        event: its type; "message" to the client where it is left out.
        id: comes back as Last-Event-ID when the client connects again.
        retry: seconds after which the client shall do so.
    """

    data: Any = None
    event: str | None = None
    id: str | None = None
    retry: float | None = None


class Events(StreamingResponse):
    """The answer of an event stream: `return Events(ticks())`.

    The iterator gives `Event`s, or their data; when the client goes, it is closed.

    Args:
        content: an async iterator.
        headers: header fields to add.
        heartbeat: seconds of silence before a comment is sent.
    """

    __slots__ = ("_heartbeat",)
    _heartbeat: float

    def __new__(
        cls,
        content: AsyncIterable[Any],
        *,
        headers: HeaderInput | None = None,
        heartbeat: float = HEARTBEAT,
    ) -> Self:
        fields = list(headers.items() if isinstance(headers, Mapping) else headers or ())
        # nginx buffers answers unless it is told not to.
        fields += [("cache-control", "no-store"), ("x-accel-buffering", "no")]
        self = super().__new__(cls, content, 200, fields, "text/event-stream")
        self._heartbeat = heartbeat
        return self

    async def deliver(self, exchange: Exchange, threads: Threads) -> None:
        """Sends it; waits whenever the client is behind."""
        exchange.start(self.status_code, self.raw_headers)
        pulse = Pulse(exchange, self._heartbeat)
        content: Any = self.body_iterator
        items = aiter(content)
        try:
            async for item in items:
                pulse.beat()
                if not exchange.write(render(item)):
                    await exchange.drain()
        finally:
            pulse.stop()
            await close(items)
        exchange.end()


class Pulse:
    """Writes a comment whenever nothing was written for a while."""

    __slots__ = ("_exchange", "_interval", "_last", "_loop", "_timer")

    def __init__(self, exchange: Exchange, interval: float) -> None:
        self._exchange = exchange
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer = self._loop.call_later(interval, self._due)

    def beat(self) -> None:
        """Something is written: the timer need not move for that."""
        self._last = self._loop.time()

    def stop(self) -> None:
        """The stream is over."""
        self._timer.cancel()

    def _due(self) -> None:
        silent = self._loop.time() - self._last
        if self._exchange.closed:
            return
        if silent >= self._interval:
            self._exchange.write(b":\n\n")
            self.beat()
            silent = 0.0
        self._timer = self._loop.call_later(self._interval - silent, self._due)


def render(item: Any) -> bytes:
    """The bytes of an event.

    Raises:
        LocalProtocolError: a type or an id of several lines, or an id with NUL.
    """
    event = item if isinstance(item, Event) else Event(item)
    lines = []
    for name, value in (("event", event.event), ("id", event.id)):
        if value is not None:
            if _LINES.search(value) or "\0" in value:
                raise LocalProtocolError(f"an event's {name} is one line, not {value!r}")
            lines.append(f"{name}: {value}")
    if event.retry is not None:
        lines.append(f"retry: {round(event.retry * 1000)}")
    if event.data is not None:
        text = event.data if isinstance(event.data, str) else encode(event.data).decode()
        lines += [f"data: {line}" for line in _LINES.split(text)]
    return "\n".join([*lines, "\n"]).encode()


def last_event_id(request: Request) -> str | None:
    """The id of the last event that the client has seen, on its way back."""
    value = request.headers.get("last-event-id")
    # A field is latin-1 to us, and UTF-8 to who sends this one (WHATWG section 9.2.4).
    return None if value is None else value.encode("latin-1").decode("utf-8", "replace")
