"""The instances behind a name: each call goes to one of them, and may be tried at another.

Rules: instances are asked by the service's name (Host, and TLS's server name), not by their
addresses. 502, 503 and 504 are failures of the instance, as is no answer (nginx's `error timeout
http_502 http_503 http_504`); the last one is the caller's answer all the same. 429 is an answer: it
is the caller who is too many. What may be done twice is what RFC 9110 section 9.2.2 says, where
the body can be sent twice.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import replace
from typing import Final

from megahertz.context import DEADLINE, deadline
from megahertz.engine import Origin
from megahertz.errors import StatusError
from megahertz.govern import Instance, Prober, Upstream
from megahertz.http.client.call import Call
from megahertz.http.client.content import NOTHING
from megahertz.http.client.lines import Lines, over
from megahertz.http.client.location import Location
from megahertz.http.client.response import retry_after
from megahertz.http.client.sender import Sender
from megahertz.http.client.transport import Came

IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))

AWAY: Final = frozenset((502, 503, 504))

_To = Callable[[Instance, Call, float | None, bool], Awaitable[Came]]


class Service:
    """Sends to the instances of an upstream.

    Args:
        upstream: who they are, and how they are called.
        home: by which name.
        sender: sends.
        usual: fields of probes.
    """

    def __init__(self, upstream: Upstream, home: Location, sender: Sender, usual: Lines) -> None:
        self.upstream, self._home, self._sender, self._usual = upstream, home, sender, usual
        self._prober: asyncio.Task[None] | None = None

    def covers(self, place: Location) -> bool:
        """Whether a call goes to the service."""
        return place.origin == self._home.origin

    async def send(
        self, call: Call, timeout: float | None, *, stream: bool, key: bytes | None
    ) -> Came:
        """The answer of whichever instance, after whatever tries.

        Raises:
            DeadlineExceeded: all of it took longer than `timeout`.
            others: of the last try, or of `Upstream.run`.
        """
        self.open()
        tries = _Tries(self._to, call, stream, self.upstream.per_try)
        # No `with deadline(...)`: whatever is waited for below looks at it, so it needs no timer.
        outer = DEADLINE.get()
        if timeout is not None:
            DEADLINE.set(min(outer, time.monotonic() + timeout))
        try:
            return await tries.run(self.upstream, key)
        finally:
            DEADLINE.set(outer)

    async def _to(
        self, instance: Instance, call: Call, timeout: float | None, stream: bool
    ) -> Came:
        home = self._home
        origin = Origin(home.origin.scheme, instance.host, instance.port)
        fields = over(call.fields, [("host", home.authority)])
        named = Call(call.method, call.place, fields, call.content, stranger=call.stranger)
        left = deadline()
        if left is not None:
            timeout = left if timeout is None else min(timeout, left)
        return await self._sender.send(
            named, origin, timeout, stream=stream, server_name=home.origin.host
        )

    async def _ask(self, instance: Instance) -> int:
        probe = self.upstream.probe
        assert probe is not None
        place = replace(self._home, target=probe.path)
        call = Call("GET", place, self._usual, NOTHING)
        answer = await self._to(instance, call, probe.timeout, False)
        return answer.status

    def open(self) -> None:
        """Begins to probe, where it does not yet."""
        probe, group = self.upstream.probe, self.upstream.group
        if probe is not None and self._prober is None:
            running = Prober(group, probe, self._ask).run()
            # A context of its own: a request's deadline and trace are not those of the probes.
            self._prober = asyncio.get_running_loop().create_task(
                running, name=f"probes of {group.name}", context=Context()
            )

    async def aclose(self) -> None:
        """Ends the probes."""
        prober, self._prober = self._prober, None
        if prober is not None:
            prober.cancel()
            await asyncio.wait([prober])


class _Tries:
    """The tries of one call, and the answers that were none."""

    def __init__(self, to: _To, call: Call, stream: bool, per_try: float | None) -> None:
        self._to, self._call, self._stream, self._per_try = to, call, stream, per_try
        self._failed: list[Came] = []

    async def run(self, upstream: Upstream, key: bytes | None) -> Came:
        again = self._call.content.again
        given: Came | None = None
        try:
            given = await upstream.run(
                self._try,
                key=key,
                idempotent=self._call.method in IDEMPOTENT,
                again=again,
                beside=not self._stream,
            )
        except StatusError as error:
            if error.response not in self._failed:
                raise
            given = error.response
        finally:
            for answer in self._failed:
                if answer is not given:
                    await answer.aclose()
        return given

    async def _try(self, instance: Instance) -> Came:
        answer = await self._to(instance, self._call, self._per_try, self._stream)
        if answer.status not in AWAY:
            return answer
        self._failed.append(answer)
        error = StatusError(
            f"{instance.name} answered {answer.status}",
            status_code=answer.status,
            response=answer,
        )
        error.retry_after = retry_after(answer)
        raise error
