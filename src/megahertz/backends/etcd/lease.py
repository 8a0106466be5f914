"""A lease: what is written with it goes when it is not kept alive."""

import asyncio
import random
from typing import Final, Self

from megahertz.backends.etcd.wire import Wire
from megahertz.errors import BackendError, LeaseLost, ReadError

PART: Final = 3
"""A lease is renewed after a third of its time (etcd's own client), so that two attempts may
fail."""


class Lease:
    """Kept alive from `async with` to its end, and revoked then; `Etcd.lease` makes it.

        async with etcd.lease(10) as lease:
            await etcd.put("shop/1", b"...", lease=lease.id)
            await lease.lost()

    Attributes:
        id: for `put`; 0 until it is granted. Never put with 0 what shall go away by itself.
        ttl: seconds, as granted.
        renewals: how often it was renewed.
    """

    def __init__(self, wire: Wire, ttl: float) -> None:
        self._wire, self._wanted = wire, max(1, round(ttl))
        self.id, self.ttl, self.renewals = 0, 0.0, 0
        self._until = 0.0
        self._gone = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._why = ""

    async def __aenter__(self) -> Self:
        """Asks for it.

        Raises:
            BackendError: it was not granted.
        """
        loop = asyncio.get_running_loop()
        asked = loop.time()
        said = await self._wire.ask(
            "LeaseGrant", self._wire.messages.LeaseGrantRequest(TTL=self._wanted)
        )
        self.id, self.ttl = said.ID, float(said.TTL)
        # From when it was asked for: etcd cannot have counted from before that.
        self._until = asked + self.ttl
        self._task = loop.create_task(self._keep(), name=f"etcd lease {self.id:x}")
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Revokes it, once; what cannot be revoked runs out by itself."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if self.is_lost:
            return
        self._fail("it was given back")
        try:
            await self._wire.ask(
                "LeaseRevoke", self._wire.messages.LeaseRevokeRequest(ID=self.id), safe=True
            )
        except (BackendError, LeaseLost):
            pass

    @property
    def is_lost(self) -> bool:
        """Whether it has run out, as far as can be known here."""
        return self._gone.is_set()

    async def lost(self) -> str:
        """Waits until it is, and says why."""
        await self._gone.wait()
        return self._why

    async def _keep(self) -> None:
        loop, attempt = asyncio.get_running_loop(), 0
        pause = self.ttl / PART
        while True:
            # Those that were granted together are not renewed together.
            await asyncio.sleep(pause * random.uniform(0.8, 1.0))
            asked = loop.time()
            try:
                left = await self._renew()
            except BackendError as error:
                if loop.time() >= self._until:
                    return self._fail(f"not renewed within {self.ttl:g} s: {error}")
                attempt += 1
                pause = min(self._wire.options.pause(attempt), self._until - loop.time())
                continue
            if left <= 0:
                return self._fail("etcd does not know it any more")
            self._until, self.renewals = asked + left, self.renewals + 1
            attempt, pause = 0, self.ttl / PART

    async def _renew(self) -> float:
        # A stream of its own each time: one that is kept dies with its connection, unnoticed.
        stream, patience = None, self.ttl / PART
        try:
            now = asyncio.get_running_loop().time()
            async with asyncio.timeout_at(min(now + patience, self._until)):
                stream = await self._wire.stream("LeaseKeepAlive")
                await stream.write(self._wire.messages.LeaseKeepAliveRequest(ID=self.id))
                return float((await stream.read()).TTL)
        except TimeoutError as error:
            if stream is not None:
                stream.close(silent=True)
            raise ReadError(f"no answer within {patience:.3g} s") from error
        finally:
            if stream is not None:
                stream.close()

    def _fail(self, why: str) -> None:
        self._why = f"etcd lease {self.id:x}: {why}"
        self._gone.set()
