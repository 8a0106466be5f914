"""A registry that never changes: for tests, and for one machine."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from megahertz.errors import ConnectError
from megahertz.govern.balance import Instance


class StaticRegistry:
    """Tells what it was made with.

    Args:
        services: instances by the name of their service.
    """

    def __init__(self, services: Mapping[str, Sequence[Instance]]) -> None:
        self._services = services

    async def watch(self, service: str) -> AsyncGenerator[Sequence[Instance], None]:
        """As `Registry.watch`; once."""
        if service not in self._services:
            known = ", ".join(self._services) or "none"
            raise ConnectError(f"no service {service!r} (there are: {known})")
        yield self._services[service]
        await asyncio.Event().wait()
