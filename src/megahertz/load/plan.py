"""What to send, how fast and for how long."""

import re
import secrets
import socket
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import SplitResult, urlsplit

from megahertz.errors import BadSettings, ConnectError

_RANGE = re.compile(r"([1-5])xx|([1-5]\d\d)", re.IGNORECASE)


def statuses(text: str) -> frozenset[int]:
    """The statuses that `2xx,409` names.

    Raises:
        BadSettings: an item is neither a status nor a class of them.
    """
    named: set[int] = set()
    for item in text.split(","):
        match = _RANGE.fullmatch(item.strip())
        if match is None:
            raise BadSettings(
                f"{item.strip()!r}: not a status; write 200 or 2xx, with commas between"
            )
        family, one = match.groups()
        named.update(range(int(family) * 100, int(family) * 100 + 100) if family else (int(one),))
    return frozenset(named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One kind of request.

    `{id}` (unique among the requests of all runs), `{n}` (counts from 0) and `{rand:LO-HI}` may
    stand in the target, in header values and in the body; any other brace is text.

    Attributes:
        method: GET, POST, ...
        target: path and query; empty: the plan's URL has them.
        headers: added to `host` and, where there is a body, `content-length`.
        body: None sends no content-length.
        weight: its share, relative to the plan's other templates.
        expect: statuses that are not an error.
    """

    method: str = "GET"
    target: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    weight: float = 1.0
    expect: frozenset[int] = field(default_factory=lambda: statuses("2xx"))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run before it starts.

    Attributes:
        url: where to; http only.
        mix: the kinds of requests.
        connections: open at once.
        threads: native ones; one sends several ten thousand requests a second.
        rate: requests a second whatever the answers do (open loop); None: each connection sends
            its next request after the previous answer (closed loop).
        warmup: seconds before the measured window.
        duration: seconds of the measured window.
        timeout: seconds for a connection, an answer and, in the open loop, a place on a
            connection.
        record: keep how every request ended, warm-up included.
        first_id: what `{id}` begins with; random, so that runs do not repeat each other's.
        seed: of `{rand}` and of the choice among templates.
    """

    url: str
    mix: tuple[Template, ...] = (Template(),)
    connections: int = 64
    threads: int = 1
    rate: float | None = None
    warmup: float = 1.0
    duration: float = 10.0
    timeout: float = 5.0
    record: bool = False
    # Below 2**53, so that JavaScript and SQLite's REAL keep every digit; 2**32 requests apart.
    first_id: int = field(default_factory=lambda: (1 + secrets.randbelow(2**20 - 1)) << 32)
    seed: int = field(default_factory=lambda: secrets.randbits(32))

    def __post_init__(self) -> None:
        if self.parts.scheme != "http" or not self.parts.hostname:
            raise BadSettings(
                f"{self.url!r}: need http://host[:port]/path (https is not spoken yet)"
            )
        for name in ("connections", "threads", "duration", "timeout"):
            if not getattr(self, name) > 0:
                raise BadSettings(f"{name}={getattr(self, name)!r}: must be above 0")
        if self.warmup < 0:
            raise BadSettings(f"warmup={self.warmup!r}: must be at least 0")

    @cached_property
    def parts(self) -> SplitResult:
        """The URL, split."""
        try:
            parts = urlsplit(self.url)
            _ = parts.port
        except ValueError as error:
            raise BadSettings(f"{self.url!r}: {error}") from error
        return parts

    def address(self) -> tuple[str, int]:
        """The numeric address behind the URL's host.

        Raises:
            ConnectError: there is none.
        """
        host, port = self.parts.hostname, self.parts.port or 80
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

    def _headers(self, kind: Template) -> list[tuple[str, str]]:
        headers = list(kind.headers)
        if not any(name.lower() == "host" for name, _ in headers):
            headers.insert(0, ("host", self.parts.netloc.rpartition("@")[2]))
        return headers
