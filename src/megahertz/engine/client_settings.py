"""Whom a pool of connections talks to, within which limits, and what it has seen."""

from dataclasses import dataclass, fields
from typing import Literal

import msgspec

from megahertz.errors import BadSettings

Scheme = Literal["http", "https"]


class Origin(msgspec.Struct, frozen=True):
    """A server: its scheme, host (a name or an address, IPv6 without brackets) and port."""

    scheme: Scheme
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As Host has it: without the scheme's own port (RFC 9110 section 4.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS.get(self.scheme) else f"{host}:{self.port}"


PORTS = {"http": 80, "https": 443}


class Proxy(msgspec.Struct, frozen=True):
    """A proxy: asked in absolute-form for `http`, for a tunnel (CONNECT) for `https`.

    Attributes:
        scheme: how it is talked to; a tunnel through a proxy of `https` is not supported.
        host: its name or address.
        port: its port.
        headers: fields for the proxy alone, `proxy-authorization` for instance.
    """

    scheme: Scheme
    host: str
    port: int
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """The limits of a pool; times in seconds.

    Attributes:
        idle: connections that rest, in all (Go's MaxIdleConns: 100).
        idle_per_host: of those at one host (Go: 2, by the number of its complaints too few).
        idle_time: how long one may rest; below the 60 s and 75 s after which Apache's and nginx'
            proxies, and the 65 s after which AWS' load balancers give up.
        max_life: how long one is used; a name may have moved (Envoy, HikariCP: 1800 s).
        connect_timeout: for a connection with its name and TLS (httpx: 5 s).
        acquire_timeout: for a connection to be had (HikariCP: 30 s).
        connections_per_host: open at once (httpx: 100).
        waiting_per_host: requests that wait for one (Envoy's max_pending_requests: 1024).
        max_head: octets of an answer's head, at most 65,535 (Node 16 KiB, curl 300 KiB).
        max_fields: fields of an answer, at most 256 (Python's http.client: 100).
        http2: offered beside TLS (ALPN).
        http2_prior_knowledge: spoken at once where there is no TLS; who is asked has to know it.
        max_body: octets of an answer that is not streamed (Elasticsearch's client: 100 MiB).
    """

    idle: int = 100
    idle_per_host: int = 100
    idle_time: float = 30.0
    max_life: float = 1800.0
    connect_timeout: float = 5.0
    acquire_timeout: float = 30.0
    connections_per_host: int = 100
    waiting_per_host: int = 1024
    max_head: int = 65_535
    max_fields: int = 100
    max_body: int = 100 * 1024 * 1024
    http2: bool = True
    http2_prior_knowledge: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            least = 0 if field.name.startswith(("idle", "waiting", "http2")) else 1e-9
            if not getattr(self, field.name) >= least:
                raise BadSettings(f"PoolSettings({field.name}=): {least:g} at least")
        for name, most in (("max_head", 65_535), ("max_fields", 256)):
            if getattr(self, name) > most:
                raise BadSettings(f"PoolSettings({name}=): at most {most}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatistics:
    """What a pool has now, and what it has seen since it was made.

    Attributes:
        open: connections.
        idle: of those, without a request.
        dialling: not open yet.
        waiting: requests that wait for a connection.
        requests: asked, in all.
        reused: that found a connection which had served before.
        dialled: connections that were opened.
        repeated: requests that were sent again, their connection having ended without a word.
        stale: connections that ended, or said something, while they rested.
        lost: that broke with a request on them.
        expired: requests whose time was over.
        bytes_in: octets received.
        bytes_out: octets sent.
    """

    open: int
    idle: int
    dialling: int
    waiting: int
    requests: int
    reused: int
    dialled: int
    repeated: int
    stale: int
    lost: int
    expired: int
    bytes_in: int
    bytes_out: int
