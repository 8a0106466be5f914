"""One request to one server, with what goes along by itself."""

from megahertz.engine import Origin
from megahertz.http.client.call import Call
from megahertz.http.client.going import going, recording, tell
from megahertz.http.client.lines import Lines, over, without
from megahertz.http.client.proxies import Proxies
from megahertz.http.client.transport import Came, Transport
from megahertz.observe import calling

_OWN = frozenset(("baggage",))
"""Not for whom a redirect leads to."""


class Sender:
    """Sends by a pool, and counts.

    Args:
        pool: of connections.
        proxies: that lead to servers.
        propagate: whether trace, baggage and deadline go along.

    Attributes:
        calls: that were begun.
        failures: that ended without an answer.
        running: under way.
    """

    __slots__ = ("calls", "failures", "pool", "propagate", "proxies", "running")

    def __init__(self, pool: Transport, proxies: Proxies, *, propagate: bool) -> None:
        self.pool, self.proxies, self.propagate = pool, proxies, propagate
        self.calls = self.failures = self.running = 0

    async def send(
        self,
        call: Call,
        origin: Origin,
        timeout: float | None,
        *,
        stream: bool,
        server_name: str | None = None,
    ) -> Came:
        """The answer, whatever its status; inside a span where the caller is recorded."""
        if not self.propagate:
            return await self._sent(call, origin, call.fields, timeout, stream, server_name)
        if not recording():
            fields = over(call.fields, _for(call, going(timeout)))
            return await self._sent(call, origin, fields, timeout, stream, server_name)
        told: dict[str, str] = {}
        with calling(call.method, call.place.url, told) as span:
            extra = [*told.items(), *going(timeout, traced=True)]
            fields = over(call.fields, _for(call, extra))
            try:
                answer = await self._sent(call, origin, fields, timeout, stream, server_name)
            except Exception as error:
                span.set_attribute("error.type", type(error).__qualname__)
                raise
            tell(span, answer.status)
            return answer

    async def _sent(
        self,
        call: Call,
        origin: Origin,
        fields: Lines,
        timeout: float | None,
        stream: bool,
        server_name: str | None,
    ) -> Came:
        self.calls += 1
        self.running += 1
        answer: Came | None = None
        try:
            answer = await self.pool.send(
                origin,
                call.method,
                call.place.target,
                fields,
                call.content.body,
                timeout=timeout,
                stream=stream,
                via=self.proxies.of(origin, named=server_name is not None),
                server_name=server_name,
            )
        finally:
            self.running -= 1
            if answer is None:
                self.failures += 1
        return answer


def _for(call: Call, fields: Lines) -> Lines:
    return without(fields, _OWN) if call.stranger else fields
