"""A watch that loses nothing and repeats nothing.

Theory: every change of a store has a revision, and etcd tells a watch whole revisions in order. So
a watch is a number, the revision that it needs next: a connection that is lost, a member that
stops or a call that is cancelled costs nothing, as the next one begins there. The number moves only
with what was handed over.

What cannot be had any more is an error, never a gap: `Compacted` where the revisions in between
were compacted, or where the store has gone back behind what was seen (a backup was restored, or it
is another cluster). etcd before 3.4.25 and 3.5.8 could tell a progress too early (etcd #15220), and
before 3.5.16 lose an event at a compaction (#18089, #19179): those are not for this.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Self

from megahertz.backends.etcd.entry import Changes, entry
from megahertz.backends.etcd.wire import Stream, Wire
from megahertz.errors import Compacted, ConnectError, MegahertzError, ReadError, RemoteError


class Watch:
    """Changes of a key, or of all that begin with it; `Etcd.watch` makes it.

        async with etcd.watch("shop/", prefix=True, revision=listing.revision + 1) as watch:
            async for changes in watch:
                ...

    Attributes:
        revision: the last one of which nothing is missing; 0 until that is known.
        losses: how often its connection was lost.
    """

    def __init__(
        self,
        wire: Wire,
        span: dict[str, bytes],
        *,
        revision: int,
        resume: bool,
        lost: Callable[[MegahertzError], object] | None,
        found: Callable[[], object] | None,
    ) -> None:
        self._wire, self._span, self._resume = wire, span, resume
        self._lost, self._found = lost, found
        self._next, self._cluster = revision, 0
        self._stream: Stream | None = None
        self._attempt = 0
        self._parts: list[Any] = []
        self.losses = 0

    @property
    def revision(self) -> int:
        """See the class."""
        return max(0, self._next - 1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Changes:
        """The next revisions; cancelled, it loses nothing.

        Raises:
            Compacted: the revisions behind `revision` are gone.
            ConnectError, ReadError: the connection is lost, and it shall not resume.
            RemoteError: etcd refuses.
        """
        while True:
            try:
                if self._stream is None:
                    await self._begin()
                return await self._whole()
            except (ConnectError, ReadError) as error:
                self.close()
                self.losses += 1
                if self._lost is not None:
                    self._lost(error)
                if not self._resume or self._wire.closed:
                    raise
                self._attempt += 1
                await asyncio.sleep(self._wire.options.pause(self._attempt))
            except BaseException:
                self.close()
                raise

    async def begin(self) -> None:
        """Waits until etcd has accepted it; errors as of `__anext__`, and it does not resume."""
        if self._stream is None:
            await self._begin()

    async def _begin(self) -> None:
        m = self._wire.messages
        if self._cluster:
            await self._check()
        self._parts.clear()
        self._stream = await self._wire.stream("Watch")
        create = m.WatchCreateRequest(
            **self._span, start_revision=self._next, progress_notify=True, fragment=True
        )
        await self._stream.write(m.WatchRequest(create_request=create))
        said = await self._read()
        self._cluster = self._cluster or said.header.cluster_id
        if said.header.cluster_id != self._cluster:
            raise Compacted(f"etcd {self._wire}: this is another cluster; read afresh")
        self._next = self._next or said.header.revision + 1
        if self._found is not None:
            self._found()

    async def _check(self) -> None:
        """A member that lags is waited for by etcd itself; a store that went back, by nobody."""
        request = self._wire.messages.RangeRequest(**self._span, limit=1, count_only=True)
        now = (await self._wire.ask("Range", request, safe=True)).header.revision
        if now < self.revision:
            raise Compacted(
                f"etcd {self._wire}: its revision went back from {self.revision} to {now} (a "
                "backup was restored?); read afresh"
            )

    async def _read(self) -> Any:
        assert self._stream is not None
        said = await self._stream.read()
        self._attempt = 0
        if said.compact_revision:
            raise Compacted(
                f"etcd {self._wire}: revision {self._next} was compacted, {said.compact_revision} "
                "is the oldest; read afresh",
                said.compact_revision,
            )
        if said.canceled:
            reason = said.cancel_reason or "the watch was cancelled"
            if "auth token" in reason:
                self._wire.forget_token()
                raise ReadError(f"etcd {self._wire}: {reason}")
            raise RemoteError(f"etcd {self._wire}: {reason}")
        return said

    async def _whole(self) -> Changes:
        """Fragments belong together; until the last one is here nothing has happened."""
        while True:
            said = await self._read()
            self._parts += said.events
            if said.fragment:
                continue
            parts, self._parts = self._parts, []
            if not parts:
                # A progress: nothing of ours up to there.
                self._next = max(self._next, said.header.revision + 1)
                continue
            self._next = parts[-1].kv.mod_revision + 1
            return Changes(self.revision, [entry(event.kv) for event in parts])

    def close(self) -> None:
        """Ends it; it begins again where it was when it is read again."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
