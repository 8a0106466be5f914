"""A client's answer passed on as a response: what a gateway or a proxying handler gives."""

from typing import Any, Final, Self

from megahertz.engine import ClientAnswer, Exchange
from megahertz.errors import RemoteError
from megahertz.http.client import StreamedResponse
from megahertz.http.response import HeaderInput
from megahertz.http.stream import StreamingResponse
from megahertz.http.threads import Threads

HOP_BY_HOP: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Fields of one connection (RFC 9110 section 7.6.1), with those that Go's ReverseProxy drops."""


class RelayResponse(StreamingResponse):
    """The answer of another server, its body passed on as it comes, in its content coding:

        return RelayResponse(await client.stream("GET", "/orders"))

    The body goes from one connection to the other inside the engine, no faster than the client
    reads, with the length that it has, or chunked. One that is cut short is cut for the client as
    well. A client that leaves, or a deadline, gives the call up.

    Args:
        answer: whose body nobody has read; closed once it has been passed on.
        status_code: in place of the answer's.
        headers: in place of the answer's fields of the same name.

    Raises:
        RemoteError: the answer has a status that no server may send.
    """

    __slots__ = ("_relayed",)
    _relayed: StreamedResponse

    def __new__(
        cls,
        answer: StreamedResponse,
        status_code: int | None = None,
        headers: HeaderInput | None = None,
    ) -> Self:
        status = answer.status_code if status_code is None else status_code
        if status > 599:
            raise RemoteError(f"{answer!r}: no status of HTTP")
        fields = passed_on(answer.came.headers)
        self = super().__new__(cls, answer.aiter_raw(), status, fields)
        self._relayed = answer
        for name, value in dict(headers or ()).items():
            self.headers[name] = value
        return self

    async def deliver(self, exchange: Exchange, threads: Threads) -> None:
        """Sends it; waits until its body has ended."""
        answer = self._relayed
        came: Any = answer.came
        try:
            # What another transport brings is no stream of the engine's.
            if self._compressor is None and isinstance(came, ClientAnswer):
                exchange.start(self.status_code, [*self.raw_headers, *self._length])
                await exchange.relay(came, answer.silence)
            else:
                await super().deliver(exchange, threads)
        finally:
            await answer.aclose()


def passed_on(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without what is of the connection that they came by."""
    gone = HOP_BY_HOP
    for name, value in fields:
        if name == "connection":
            gone = gone | {option.strip().lower() for option in value.split(",")}
        elif name == "transfer-encoding":
            gone = gone | {"content-length"}
    return [field for field in fields if field[0] not in gone]
