"""What a registry is to those who follow it, and to those who stand in it."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from megahertz.govern.balance import Instance
from megahertz.govern.registry.registration import Registration


class Registry(Protocol):
    """Tells who serves a service."""

    def watch(self, service: str) -> AsyncGenerator[Sequence[Instance], None]:
        """All instances now, then all of them whenever they have changed.

        Whoever asks closes it. It ends with an error where the registry is lost or answers
        nonsense: who asks keeps what it has, waits a little, and asks anew (`Following`).

        Raises:
            BackendError: the registry cannot be had.
        """
        ...


class Registrar(Protocol):
    """Lets instances be told of."""

    def register(self, service: str, instance: Instance) -> Registration:
        """Tells of an instance from `async with` to its end, or until `retire`."""
        ...
