"""A registry in the DNS.

A name's addresses are asked of the system (`getaddrinfo`, so /etc/hosts and search domains hold);
it says nothing of a TTL. SRV records, which have ports and weights, need a resolver of their own:
dnspython (`megahertz[dns]`), which is asked for `_service._proto.name`.
"""

import asyncio
import random
import socket
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from megahertz.errors import BadSettings, ConnectError
from megahertz.govern.balance import Instance

TTL: Final = 30.0
"""Seconds between two looks where nobody says; CoreDNS's and kube-dns's default TTL."""

SHORTEST: Final = 1.0
"""Seconds that a TTL of 0 is held all the same."""


class DnsRegistry:
    """Tells the addresses of a name, and asks again when its TTL is over.

    A service is `orders.example:8000`, for its A and AAAA records, or `_http._tcp.orders.example`,
    for its SRV records: of these the best priority is called, the others are backups. A name that
    is not found is no empty list: the last one stays.

    Args:
        ttl: seconds between two looks; the longest with SRV, whose answers have their own.
        resolver: dnspython's `Resolver` in place of the system's configuration.
    """

    def __init__(self, *, ttl: float = TTL, resolver: Any = None) -> None:
        if ttl <= 0:
            raise BadSettings(f"DnsRegistry(ttl={ttl}): above 0")
        self._ttl, self._resolver = ttl, resolver

    async def watch(self, service: str) -> AsyncGenerator[Sequence[Instance], None]:
        """As `Registry.watch`."""
        before: Sequence[Instance] | None = None
        while True:
            found, ttl = await self._look(service)
            if found != before:
                before = found
                yield found
            # Clients that began together do not ask together.
            await asyncio.sleep(min(max(ttl, SHORTEST), self._ttl) * random.uniform(0.9, 1.1))

    async def _look(self, service: str) -> tuple[list[Instance], float]:
        if service.startswith("_"):
            return await self._services(service)
        host, _, port = service.rpartition(":")
        if not host or not port.isdecimal():
            raise BadSettings(f"{service!r}: host:port or _service._proto.name expected")
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        except OSError as error:
            raise ConnectError(f"DNS {host}: {error.strerror or error}") from error
        addresses = sorted({str(where[0]) for *_, where in found})
        return [Instance(host=it, port=int(port)) for it in addresses], self._ttl

    async def _services(self, service: str) -> tuple[list[Instance], float]:
        try:
            import dns.asyncresolver
            import dns.exception
        except ImportError as error:
            raise BadSettings("SRV needs dnspython: pip install 'megahertz[dns]'") from error
        resolver = self._resolver or dns.asyncresolver.Resolver()
        try:
            answer = await resolver.resolve(service, "SRV")
        except (dns.exception.DNSException, OSError) as error:
            raise ConnectError(f"DNS {service}: {error}") from error
        best = min(it.priority for it in answer)
        found = [
            Instance(
                host=str(it.target).rstrip("."),
                port=it.port,
                weight=float(it.weight or 1),  # 0 among others is "hardly ever" (RFC 2782)
                backup=it.priority > best,
            )
            for it in answer
        ]
        ttl = min(records.ttl for records in answer.response.answer)
        return sorted(found, key=lambda it: it.name), float(ttl)
