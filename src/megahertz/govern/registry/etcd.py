"""A registry in etcd.

Layout: `PREFIX SERVICE / LEASE` is one instance, as JSON of etcd's own `naming/endpoints`:
`{"Op":0,"Addr":"10.0.0.7:8000","Metadata":{"weight":2.0,"zone":"a"}}`, so that its gRPC resolver
for Go reads it. The lease in the key, as go-zero has it, lets several workers tell of one address,
and a new process tell of it before the old one has gone. A bare `host:port`, as go-zero writes it,
is read as well.

An instance goes with its lease when its process dies, and at once when it retires.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from megahertz.backends import Etcd
from megahertz.errors import BadSettings
from megahertz.govern.balance import Instance
from megahertz.govern.registry.registration import LINGER, Lost, Registration

log = logging.getLogger("megahertz")

TTL: Final = 10.0
"""Seconds after which one that has died is no longer told of (go-zero: 10 s, Kratos: 15 s)."""


class _Endpoint(msgspec.Struct, omit_defaults=False):
    Op: int = 0
    Addr: str = ""
    Metadata: Any = None


class EtcdRegistry:
    """Instances under a prefix of etcd, each with a lease.

    Args:
        etcd: where they are.
        prefix: of all services.
        ttl: seconds that one is told of after it was heard of last; whole ones.
    """

    def __init__(self, etcd: Etcd, *, prefix: str = "services/", ttl: float = TTL) -> None:
        self._etcd, self._prefix, self._ttl = etcd, prefix, ttl

    async def watch(self, service: str) -> AsyncGenerator[Sequence[Instance], None]:
        """As `Registry.watch`: reads all of them, and watches from that revision on."""
        prefix = self._at(service)
        listing = await self._etcd.list(prefix)
        values = {it.key: it.value for it in listing.entries}
        yield _instances(values, prefix)
        watching = self._etcd.watch(
            prefix, prefix=True, revision=listing.revision + 1, resume=False
        )
        async with watching as watch:
            async for changes in watch:
                for entry in changes.entries:
                    values.pop(entry.key, None)
                    if entry.version:
                        values[entry.key] = entry.value
                yield _instances(values, prefix)

    def register(self, service: str, instance: Instance, *, linger: float = LINGER) -> Registration:
        """As `Registrar.register`.

        Args:
            service: its name, without a slash at its end.
            instance: what is told.
            linger: seconds between leaving the registry and refusing calls.
        """

        @asynccontextmanager
        async def hold() -> AsyncIterator[Lost]:
            async with self._etcd.lease(self._ttl) as lease:
                key = f"{self._at(service)}{lease.id:x}"
                await self._etcd.put(key, _told(instance), lease=lease.id)
                yield lease.lost

        return Registration(f"{service} {instance.name}", hold, linger=linger)

    def _at(self, service: str) -> str:
        if not service or service.endswith("/"):
            raise BadSettings(f"a service {service!r}: a name that does not end with a slash")
        return f"{self._prefix}{service}/"


def _told(instance: Instance) -> bytes:
    metadata: dict[str, Any] = {"weight": instance.weight, "zone": instance.zone}
    if instance.backup:
        metadata["backup"] = True
    if instance.labels:
        metadata["labels"] = dict(instance.labels)
    return msgspec.json.encode(_Endpoint(Addr=instance.name, Metadata=metadata))


def _instances(values: dict[str, bytes], prefix: str) -> list[Instance]:
    """Each address once; the one that was written last has the say."""
    found = {}
    for key, value in values.items():
        if "/" in key.removeprefix(prefix):
            continue  # of a service whose name begins with ours
        try:
            instance = _read(value)
        except (msgspec.MsgspecError, BadSettings, ValueError) as error:
            log.error("%s is no instance, and left out: %s", key, error)
        else:
            found[instance.name] = instance
    return list(found.values())


def _read(value: bytes) -> Instance:
    if not value.startswith(b"{"):
        return _at_address(value.decode(), {})
    said = msgspec.json.decode(value, type=_Endpoint)
    # Of others it may be anything.
    return _at_address(said.Addr, said.Metadata if isinstance(said.Metadata, dict) else {})


def _at_address(address: str, metadata: dict[str, Any]) -> Instance:
    host, _, port = address.strip().rpartition(":")
    if not host or not port.isdecimal():
        raise BadSettings(f"{address!r}: host:port expected")
    found: dict[str, Any] = {"host": host.strip("[]"), "port": int(port)}
    known = ("weight", "zone", "backup", "labels")
    found |= {name: metadata[name] for name in known if name in metadata}
    return msgspec.convert(found, Instance)
