"""A thin client of etcd's API v3, over grpcio."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from megahertz.backends.etcd.entry import (
    Compare,
    Entry,
    Get,
    Listing,
    Operation,
    Outcome,
    answer,
    comparison,
    entry,
    octets,
    operation,
    span,
)
from megahertz.backends.etcd.lease import Lease
from megahertz.backends.etcd.options import Options
from megahertz.backends.etcd.watch import Watch
from megahertz.backends.etcd.wire import Wire
from megahertz.errors import MegahertzError

PAGE: Final = 256
"""Entries that are read at once (Kubernetes lists by 500)."""


@dataclass(frozen=True, slots=True)
class EtcdStatistics:
    """A client at this moment.

    Attributes:
        calls: that were made.
        failures: of these, by gRPC or etcd.
        connected: connections that were begun.
    """

    calls: int
    failures: int
    connected: int


class Etcd:
    """A cluster, seen from one loop; it connects with its first call.

        async with Etcd("10.0.0.1:2379", "10.0.0.2:2379") as etcd:
            revision = await etcd.put("shop/limit", b"5000")
            found = await etcd.get("shop/limit")

    All calls raise `ConnectError` where no endpoint can be reached (nothing was done), `ReadError`
    where no answer came (whether it was done is unknown) and `RemoteError` where etcd refuses.

    Args:
        endpoints: `host:port`, `http://host:port` or `https://host:port`; tried in turn.
        options: how they are reached; or its attributes, by name.

    Raises:
        BadSettings: endpoints that cannot be, or the extra `megahertz[etcd]` is not installed.
    """

    def __init__(self, *endpoints: str, options: Options | None = None, **named: Any) -> None:
        self._endpoints = endpoints or ("127.0.0.1:2379",)
        self._wire = Wire(self._endpoints, options or Options(**named))

    @property
    def options(self) -> Options:
        """How it is reached."""
        return self._wire.options

    def __str__(self) -> str:
        return str(self._wire)

    async def __aenter__(self) -> Self:
        self._wire.reopen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends its connections: calls that wait or begin, and watches, fail with `ConnectError`."""
        await self._wire.aclose()

    async def get(self, key: str, *, revision: int = 0) -> Entry | None:
        """The entry, now or as it was at a revision; None: there is none.

        Raises:
            Compacted: that revision is gone.
        """
        request = self._wire.messages.RangeRequest(key=octets(key), revision=revision)
        found = (await self._wire.ask("Range", request, safe=True)).kvs
        return entry(found[0]) if found else None

    async def list(self, prefix: str, *, page: int = PAGE, newest: int | None = None) -> Listing:
        """Every entry that begins with `prefix`, at one revision, by key.

        Args:
            prefix: empty for all there are.
            page: entries that are read at once.
            newest: only so many, those that were written last, the newest first.

        Raises:
            Compacted: a compaction overtook the reading.
        """
        m, where = self._wire.messages, span(prefix, True)
        if newest is not None:
            # By the revision of the last write (3), descending (2).
            request = m.RangeRequest(**where, limit=newest, sort_order=2, sort_target=3)
            said = await self._wire.ask("Range", request, safe=True)
            return Listing(said.header.revision, [entry(it) for it in said.kvs])
        revision, entries, more = 0, [], True
        while more:
            request = m.RangeRequest(**where, limit=page, revision=revision)
            said = await self._wire.ask("Range", request, safe=True)
            revision = revision or said.header.revision
            entries += [entry(it) for it in said.kvs]
            more = said.more
            if more:
                where["key"] = said.kvs[-1].key + b"\0"
        return Listing(revision, entries)

    async def put(self, key: str, value: bytes, *, lease: int = 0) -> int:
        """Writes a key; gives the revision.

        Raises:
            LeaseLost: there is no such lease.
        """
        request = self._wire.messages.PutRequest(key=octets(key), value=value, lease=lease)
        return int((await self._wire.ask("Put", request)).header.revision)

    async def delete(self, key: str, *, prefix: bool = False) -> int:
        """Deletes a key, or all that begin with it; gives how many there were."""
        request = self._wire.messages.DeleteRequest(**span(key, prefix))
        return int((await self._wire.ask("DeleteRange", request)).deleted)

    async def transact(
        self,
        conditions: Sequence[Compare],
        then: Sequence[Operation],
        otherwise: Sequence[Operation] = (),
    ) -> Outcome:
        """All of `then` at one revision where every condition holds, else all of `otherwise`."""
        request = self._wire.messages.TxnRequest(
            compare=[comparison(it) for it in conditions],
            success=[operation(it) for it in then],
            failure=[operation(it) for it in otherwise],
        )
        safe = all(isinstance(it, Get) for it in (*then, *otherwise))
        said = await self._wire.ask("Txn", request, safe=safe)
        answers = [answer(it) for it in said.responses]
        return Outcome(said.succeeded, said.header.revision, answers)

    async def compact(self, revision: int, *, physical: bool = False) -> None:
        """Forgets what was before a revision.

        Args:
            revision: the oldest that is kept.
            physical: waits until it is gone from the disk.

        Raises:
            Compacted: it was done before.
        """
        request = self._wire.messages.CompactionRequest(revision=revision, physical=physical)
        await self._wire.ask("Compact", request)

    def lease(self, ttl: float) -> Lease:
        """A lease of whole seconds, to be entered with `async with`."""
        return Lease(self._wire, ttl)

    def watch(
        self,
        key: str,
        *,
        prefix: bool = False,
        revision: int = 0,
        resume: bool = True,
        lost: Callable[[MegahertzError], object] | None = None,
        found: Callable[[], object] | None = None,
    ) -> Watch:
        """The changes of a key, or of all that begin with it.

        Args:
            key: empty with `prefix` for all there are.
            prefix: all that begin with it.
            revision: the first that is told; 0: those behind the present one.
            resume: goes on by itself when a connection is lost; else that is raised.
            lost: told whenever one is.
            found: called whenever etcd has accepted the watch, the first time and again.
        """
        return Watch(
            self._wire,
            span(key, prefix),
            revision=revision,
            resume=resume,
            lost=lost,
            found=found,
        )

    def statistics(self) -> EtcdStatistics:
        """What was done so far."""
        wire = self._wire
        return EtcdStatistics(wire.calls, wire.failures, wire.connected)
