"""What to send, how fast and for how long."""

import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from megahertz.engine import LoadRun
from megahertz.errors import BadSettings, ConnectError
from megahertz.load.colour import UNTAGGED, colour
from megahertz.load.data import Data
from megahertz.load.stages import Stages, Stretch
from megahertz.load.template import Template
from megahertz.load.think import Think

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run before it starts.

    Attributes:
        url: where to; http or https.
        mix: the kinds of requests.
        connections: open at once.
        threads: native ones; one sends several ten thousand requests a second.
        rate: requests a second whatever the answers do (open loop); None: each connection sends
            its next request after the previous answer (closed loop).
        stages: the rate, or the connections of a closed loop, over time; they say the duration.
        think: between an answer and the next request of a closed loop.
        pipeline: requests at once on a connection of HTTP/1.1 without waiting for answers.
        http2: over TLS the server has to agree (ALPN), without it has to know (prior knowledge).
        streams: requests at once on a connection of HTTP/2.
        keepalive: False makes a connection for each request.
        insecure: trust any certificate.
        cacert: a PEM file of certificates to trust; None: those of the system.
        data: what `{csv:COLUMN}` stands for.
        env_mode: colours the traffic (see `colour`); None does not, unless a template has a tag.
        warmup: seconds before the measured window.
        duration: seconds of the measured window.
        timeout: seconds for a connection, an answer and, in the open loop, a place on a
            connection.
        record: keep how every request ended, warm-up included.
        first_id: what `{id}` begins with; random, so that runs do not repeat each other's.
        seed: of all draws.
    """

    url: str
    mix: tuple[Template, ...] = (Template(),)
    connections: int = 64
    threads: int = 1
    rate: float | None = None
    stages: Stages | None = None
    think: Think | None = None
    pipeline: int = 1
    http2: bool = False
    streams: int = 1
    keepalive: bool = True
    insecure: bool = False
    cacert: Path | None = None
    data: Data | None = None
    env_mode: str | None = None
    warmup: float = 1.0
    duration: float = 10.0
    timeout: float = 5.0
    record: bool = False
    # Below 2**53, so that JavaScript and SQLite's REAL keep every digit; 2**32 requests apart.
    first_id: int = field(default_factory=lambda: (1 + secrets.randbelow(2**20 - 1)) << 32)
    seed: int = field(default_factory=lambda: secrets.randbits(32))

    def __post_init__(self) -> None:
        if self.parts.scheme not in _PORTS or not self.parts.hostname:
            raise BadSettings(f"{self.url!r}: need http[s]://host[:port]/path")
        for name in ("connections", "threads", "duration", "timeout", "pipeline", "streams"):
            if not getattr(self, name) > 0:
                raise BadSettings(f"{name}={getattr(self, name)!r}: must be above 0")
        if self.warmup < 0:
            raise BadSettings(f"warmup={self.warmup!r}: must be at least 0")
        self._refuse_contradictions()
        if self.stages is not None:
            object.__setattr__(self, "duration", self.stages.seconds)
            if self.stages.of == "connections":
                object.__setattr__(self, "connections", round(self.stages.most))

    def _refuse_contradictions(self) -> None:
        secure = self.parts.scheme == "https"
        for wrong, why in (
            (self.rate is not None and self.stages is not None, "stages have the rate: no rate"),
            (self.http2 and self.pipeline > 1, "http2 has streams, HTTP/1.1 has a pipeline"),
            (not self.http2 and self.streams > 1, "streams: only with http2"),
            (self.is_open and self.think is not None, "think time: only without a rate"),
            (self.is_open and self.pipeline > 1, "pipeline: only without a rate"),
            (not self.keepalive and self.lanes > 1, "a connection for each request carries one"),
            (not secure and (self.insecure or self.cacert), "insecure and cacert: only with https"),
        ):
            if wrong:
                raise BadSettings(why)

    @cached_property
    def parts(self) -> SplitResult:
        """The URL, split."""
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError as error:
            raise BadSettings(f"{self.url!r}: {error}") from error
        return parts

    @property
    def is_open(self) -> bool:
        """Requests are due on a schedule."""
        return self.rate is not None or (self.stages is not None and self.stages.of == "rate")

    @property
    def lanes(self) -> int:
        """Requests at once on a connection."""
        return self.streams if self.http2 else self.pipeline

    @property
    def senders(self) -> int:
        """Threads that have a connection."""
        return min(self.threads, self.connections)

    @property
    def coloured(self) -> bool:
        """Whether requests say what they are."""
        return self.env_mode is not None or any(template.tag for template in self.mix)

    def address(self) -> tuple[str, int]:
        """The numeric address behind the URL's host.

        Raises:
            ConnectError: there is none.
        """
        host, port = self.parts.hostname, self.parts.port or _PORTS[self.parts.scheme]
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ConnectError(f"{host}: {error.strerror or error}") from error
        address = found[0][4]
        return str(address[0]), int(address[1])

    def requests(self) -> list[tuple[float, str, str, list[tuple[str, str]], bytes | None]]:
        """The mix as the native module takes it."""
        default = (self.parts.path or "/") + (f"?{self.parts.query}" if self.parts.query else "")
        return [
            (kind.weight, kind.method, kind.target or default, self._headers(kind), kind.body)
            for kind in self.mix
        ]

    def names(self) -> list[str]:
        """Of its requests, then of its tags."""
        tags = [template.tag or UNTAGGED for template in self.mix] if self.coloured else []
        return list(dict.fromkeys([*(template.title for template in self.mix), *tags]))

    def check(self) -> None:
        """Raises BadSettings where a request cannot be rendered, with any row of the data."""
        try:
            LoadRun.check(self.requests(), data=self._rows(), http2=self.http2)
        except ValueError as error:
            raise BadSettings(str(error)) from error

    def _headers(self, kind: Template) -> list[tuple[str, str]]:
        headers = colour(kind, self.env_mode or "load") if self.coloured else list(kind.headers)
        own = {name.lower() for name, _ in headers}
        if not self.keepalive and "connection" not in own:
            headers.insert(0, ("connection", "close"))
        if "host" not in own:
            headers.insert(0, ("host", self.parts.netloc.rpartition("@")[2]))
        return headers

    def options(self) -> dict[str, Any]:
        """Everything else as the native module takes it."""
        return {
            "connections": self.connections,
            "threads": self.threads,
            "rates": self._rates(),
            "levels": self._levels(),
            "think": (self.think.kind, self.think.low, self.think.high) if self.think else None,
            "lanes": self.lanes,
            "fresh": not self.keepalive,
            "http2": self.http2,
            "tls": self._tls(),
            "data": self._rows(),
            "warmup": self.warmup,
            "duration": self.duration,
            "timeout": self.timeout,
            "record": self.record,
            "first_id": self.first_id,
            "seed": self.seed,
        }

    def _rows(self) -> tuple[Sequence[str], list[list[bytes]], bool] | None:
        return (self.data.columns, self.data.rows, self.data.random) if self.data else None

    def _rates(self) -> list[Stretch] | None:
        if self.rate is not None:
            return [(self.warmup + self.duration, self.rate, self.rate)]
        return self.stages.stretches(self.warmup) if self.stages and self.is_open else None

    def _levels(self) -> list[Stretch] | None:
        return self.stages.stretches(self.warmup) if self.stages and not self.is_open else None

    def _tls(self) -> tuple[str, bytes | None, bool] | None:
        if self.parts.scheme != "https":
            return None
        try:
            trusted = self.cacert.read_bytes() if self.cacert else None
        except OSError as error:
            raise BadSettings(f"{self.cacert}: {error.strerror}") from error
        return str(self.parts.hostname), trusted, self.insecure
