"""Settings: typed, with the precedent of every default beside it; durations are seconds."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Self

from megahertz.errors import BadSettings

MOST_HEAD_BYTES = 60 * 1024
"""Positions in a head are 16 bits wide, and a whole one must fit the read buffer of 64 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one worker accepts from its peers; each bound is an answer to them, and is counted.

    Attributes:
        head_bytes: a request head, line and fields together; 431 above (nginx: 4 x 8 KiB,
            Node: 16 KiB, Apache: 8 KiB a line).
        headers: fields in a head; 431 above (Apache: 100).
        target_bytes: the request target; 414 above (RFC 9110 section 4.1 asks for 8,000).
        body_bytes: a request body; 413 above (nginx and aiohttp: 1 MiB).
        head_timeout: from the first byte of a head to its last; 408 (Go's ReadHeaderTimeout
            as commonly set: 5 s).
        idle_timeout: an open connection without a request (the reports' keepalive_timeout, 30 s).
        body_grace: before the minimum rate of a body counts (Kestrel: 5 s).
        body_rate: bytes a second that a body must arrive with after that; 408 below
            (Kestrel: 240).
        write_timeout: without the peer taking a single byte of its answer (nginx: 60 s).
        unsent_bytes: answers waiting for a slow reader above which nothing more is read from it
            (spike.md: 256 KiB).
        requests: requests a connection before it is closed; 0 is no limit (nginx: 1,000).
        message_bytes: a WebSocket message, inflated; close code 1009 above (websockets: 1 MiB).
        unread_bytes: WebSocket messages waiting to be received above which the peer is no longer
            read (websockets: 16 messages).
        ping_interval: silence on a WebSocket before it is pinged; 0 is never (websockets, uvicorn:
            20 s).
        ping_timeout: silence after the ping before the connection is given up (the same: 20 s).
        close_timeout: from our close frame to the peer's (websockets: 10 s).
        connections: open at once; 503 above (half the files that one process may have open).
    """

    head_bytes: int = 32 * 1024
    headers: int = 100
    target_bytes: int = 8 * 1024
    body_bytes: int = 1024 * 1024
    head_timeout: float = 5.0
    idle_timeout: float = 30.0
    body_grace: float = 5.0
    body_rate: int = 240
    write_timeout: float = 30.0
    unsent_bytes: int = 256 * 1024
    requests: int = 0
    message_bytes: int = 1024 * 1024
    unread_bytes: int = 64 * 1024
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 10.0
    connections: int = 16_384

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            lowest = 0 if field.name in ("requests", "body_rate", "ping_interval") else 1e-3
            if not value >= lowest:
                raise BadSettings(f"Limits({field.name}={value!r}): must be at least {lowest}")
        if self.head_bytes > MOST_HEAD_BYTES:
            raise BadSettings(f"Limits(head_bytes={self.head_bytes}): at most {MOST_HEAD_BYTES}")

    @classmethod
    def parse(cls, items: Iterable[str]) -> Self:
        """The defaults, but for what `name=value` says: `head_timeout=10`.

        Raises:
            BadSettings: a name that is none of ours, or a value that is no number.
        """
        defaults = cls()
        kinds: dict[str, type[float | int]] = {
            field.name: type(getattr(defaults, field.name)) for field in fields(cls)
        }
        chosen: dict[str, Any] = {}
        for item in items:
            name, _, text = item.partition("=")
            if name not in kinds:
                raise BadSettings(f"{item!r}: the limits are {', '.join(kinds)}")
            try:
                chosen[name] = kinds[name](text)
            except ValueError:
                raise BadSettings(f"{item!r}: {kinds[name].__name__} expected") from None
        return cls(**chosen)
