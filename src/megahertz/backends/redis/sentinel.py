"""Redis behind Sentinels, which know who is the master.

Source: redis.io, "Guidelines for Redis clients with support for Redis Sentinel": a Sentinel is
asked before every connection, and a connection whose server has become a replica is given up.
"""

import random
from collections.abc import Iterable
from typing import Any, Self

from megahertz.backends.redis.address import Address
from megahertz.backends.redis.client import Redis
from megahertz.backends.redis.cluster.topology import Place
from megahertz.backends.redis.commands.words import named, text
from megahertz.backends.redis.connection import Locate
from megahertz.errors import BackendError, ConnectError

PATIENCE = 1.0
"""Seconds that a Sentinel has to answer before the next is asked; they are on the same network."""


class Sentinel:
    """Several Sentinels, of which one has to answer.

        sentinel = Sentinel([("10.0.0.1", 26379), ("10.0.0.2", 26379)])
        redis = sentinel.master_for("orders", decode_responses=True)

    Args:
        sentinels: where they are.
        sentinel_kwargs: of the clients that ask them (username, password, ssl, ...).
        options: of the clients of masters and replicas, as of `Redis`.
    """

    def __init__(
        self,
        sentinels: Iterable[Place],
        *,
        sentinel_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._options = options
        asked: dict[str, Any] = {"timeout": PATIENCE, "connect_timeout": PATIENCE, "retries": 1}
        asked |= sentinel_kwargs or {}
        self.sentinels = [Redis(host, port, **asked) for host, port in sentinels]

    async def discover_master(self, service_name: str) -> Place:
        """Where it is now.

        Raises:
            ConnectError: no Sentinel knows it.
        """
        failures: list[str] = []
        for number, sentinel in enumerate(self.sentinels):
            words = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service_name)
            try:
                found = await sentinel._command(words, None, True)
            except BackendError as error:
                failures.append(str(error))
                continue
            if found is not None:
                # The one that answered is asked first the next time.
                self.sentinels.insert(0, self.sentinels.pop(number))
                return text(found[0]), int(found[1])
            failures.append(f"{sentinel.address} does not know it")
        raise ConnectError(f"no Sentinel says where {service_name} is: {'; '.join(failures)}")

    async def discover_slaves(self, service_name: str) -> list[Place]:
        """Where its replicas are that are up.

        Raises:
            ConnectError: no Sentinel answers.
        """
        for sentinel in self.sentinels:
            words = ("SENTINEL", "REPLICAS", service_name)
            try:
                found = [named(each) for each in await sentinel._command(words, None, True)]
            except BackendError:
                continue
            return [(text(each["ip"]), int(each["port"])) for each in found if _is_up(each)]
        raise ConnectError(f"no Sentinel answers: {', '.join(map(str, self._places()))}")

    def _places(self) -> list[Address]:
        return [sentinel.address for sentinel in self.sentinels]

    def master_for(self, service_name: str, **options: Any) -> Redis:
        """A client of whoever is its master."""

        async def locate() -> Place:
            return await self.discover_master(service_name)

        return self._client(service_name, locate, options)

    def slave_for(self, service_name: str, **options: Any) -> Redis:
        """A client of one of its replicas, or where there is none of its master."""

        async def locate() -> Place:
            replicas = await self.discover_slaves(service_name)
            return random.choice(replicas) if replicas else await self.discover_master(service_name)

        return self._client(service_name, locate, options)

    def _client(self, service_name: str, locate: Locate, options: dict[str, Any]) -> Redis:
        return Redis(service_name, **{**self._options, **options}).located(locate)

    async def aclose(self) -> None:
        """Closes the connections to the Sentinels."""
        for sentinel in self.sentinels:
            await sentinel.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


_DOWN = ("s_down", "o_down", "disconnected")


def _is_up(replica: dict[str, Any]) -> bool:
    flags = text(replica["flags"]).split(",")
    return not any(flag in flags for flag in _DOWN)
