"""A lock that all clients of one Redis see.

It is a key with a token of its holder, set where there is none, and changed or deleted only by
who shows the token (redis.io, "Distributed Locks with Redis", the instance of one server). It is a
lease: who holds it longer than its timeout has lost it without being told, so what must never be
done twice needs a fencing number besides.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any, Self

from megahertz.backends.redis.commands import Commands, Script
from megahertz.errors import AlreadyHeld, LeaseLost, Misused

_RELEASE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('del', KEYS[1])
"""

_EXTEND = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
local left = 0
if ARGV[3] == '0' then left = math.max(redis.call('pttl', KEYS[1]), 0) end
return redis.call('pexpire', KEYS[1], ARGV[2] + left)
"""


class Lock:
    """Held from `acquire` to `release`, or while it is entered.

        async with redis.lock("report", timeout=30):
            ...

    Args:
        redis: whose lock it is.
        name: of its key.
        timeout: seconds after which it is free again, whatever its holder does; None: never.
        sleep: seconds between two tries.
        blocking: whether `acquire` waits.
        blocking_timeout: seconds that it waits; None: however long.
        raise_on_release_error: leaving it raises where it was lost meanwhile.
        pause: what waits between two tries.
    """

    def __init__(
        self,
        redis: Commands,
        name: str,
        *,
        timeout: float | None = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        raise_on_release_error: bool = True,
        pause: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._redis, self.name, self.timeout = redis, name, timeout
        self._sleep, self._blocking, self._patience = sleep, blocking, blocking_timeout
        self._raises, self._pause = raise_on_release_error, pause
        self._token: bytes | None = None
        self._release_script: Script = redis.register_script(_RELEASE)
        self._extend_script: Script = redis.register_script(_EXTEND)

    async def acquire(
        self,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | bytes | None = None,
    ) -> bool:
        """Whether it is ours now; the arguments stand in for those of the lock."""
        token = secrets.token_hex(16) if token is None else token
        mine = token.encode() if isinstance(token, str) else token
        waits = self._blocking if blocking is None else blocking
        patience = self._patience if blocking_timeout is None else blocking_timeout
        until = None if patience is None else time.monotonic() + patience
        while not await self._try(mine):
            if not waits or (until is not None and time.monotonic() + self._sleep > until):
                return False
            await self._pause(self._sleep)
        self._token = mine
        return True

    async def _try(self, token: bytes) -> bool:
        px = None if self.timeout is None else max(1, int(self.timeout * 1000))
        return bool(await self._redis.set(self.name, token, nx=True, px=px))

    async def release(self) -> None:
        """Gives it back.

        Raises:
            Misused: it is not ours.
            LeaseLost: it was, longer than its timeout: somebody else may have had it meanwhile.
        """
        token, self._token = self._held(), None
        if not await self._release_script(keys=[self.name], args=[token]):
            raise LeaseLost(f"lock {self.name}: its timeout had passed before it was released")

    async def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """So many seconds longer, or from now with `replace_ttl`.

        Raises:
            LeaseLost: too late.
        """
        if self.timeout is None:
            raise Misused(f"lock {self.name} has no timeout to extend")
        words: list[Any] = [self._held(), int(additional_time * 1000), 1 if replace_ttl else 0]
        if not await self._extend_script(keys=[self.name], args=words):
            raise LeaseLost(f"lock {self.name}: its timeout had passed before it was extended")
        return True

    async def reacquire(self) -> bool:
        """Its timeout begins anew."""
        return await self.extend(self.timeout or 0.0, replace_ttl=True)

    def _held(self) -> bytes:
        if self._token is None:
            raise Misused(f"lock {self.name} is not held")
        return self._token

    async def locked(self) -> bool:
        """Whether anybody has it."""
        return bool(await self._redis.exists(self.name))

    async def owned(self) -> bool:
        """Whether we have it still."""
        if self._token is None:
            return False
        held = await self._redis.get(self.name)
        return self._token in (held, held.encode() if isinstance(held, str) else held)

    async def __aenter__(self) -> Self:
        if not await self.acquire():
            raise AlreadyHeld(f"lock {self.name}: somebody else has it")
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.release()
        except (LeaseLost, Misused):
            if self._raises:
                raise
