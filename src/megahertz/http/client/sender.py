"""One request to one server, with what goes along by itself."""

from megahertz.engine import Origin
from megahertz.http.client.call import Call
from megahertz.http.client.going import NOTHING, going, recording, tell
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
        answers: that came.
        failures: calls that ended without one.
    """

    __slots__ = ("answers", "calls", "failures", "pool", "propagate", "proxies")

    def __init__(self, pool: Transport, proxies: Proxies, *, propagate: bool) -> None:
        self.pool, self.proxies, self.propagate = pool, proxies, propagate
        self.calls = self.answers = self.failures = 0

    @property
    def running(self) -> int:
        """Calls under way."""
        return self.calls - self.answers - self.failures

    async def send(
        self,
        call: Call,
        origin: Origin,
        timeout: float | None,
        *,
        stream: bool,
        server_name: str | None = None,
        told: Lines | None = None,
    ) -> Came:
        """The answer, whatever its status; inside a span where the caller is recorded.

        Args:
            told: what goes along, where that is known already.
        """
        if told is None:
            if self.propagate and recording():
                return await self._recorded(call, origin, timeout, stream, server_name)
            told = going(timeout) if self.propagate else NOTHING
        self.calls += 1
        try:
            answer = await self.pool.send(
                origin,
                call.method,
                call.place.target,
                over(call.fields, _for(call, told)),
                call.content.body,
                timeout=timeout,
                stream=stream,
                via=self.proxies.of(origin, named=server_name is not None),
                server_name=server_name,
            )
        except BaseException:
            self.failures += 1
            raise
        self.answers += 1
        return answer

    async def _recorded(
        self,
        call: Call,
        origin: Origin,
        timeout: float | None,
        stream: bool,
        server_name: str | None,
    ) -> Came:
        trace: dict[str, str] = {}
        with calling(call.method, call.place.url, trace) as span:
            told = [*trace.items(), *going(timeout, traced=True)]
            try:
                answer = await self.send(
                    call, origin, timeout, stream=stream, server_name=server_name, told=told
                )
            except Exception as error:
                span.set_attribute("error.type", type(error).__qualname__)
                raise
            tell(span, answer.status)
            return answer


def _for(call: Call, fields: Lines) -> Lines:
    return without(fields, _OWN) if call.stranger else fields
