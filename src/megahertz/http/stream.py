"""Answers sent piece by piece, no faster than the client reads."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Self

from megahertz.engine import Answer, Exchange
from megahertz.http.response import HeaderInput, Response
from megahertz.http.threads import Threads

Pieces = AsyncIterable[bytes | str] | Iterable[bytes | str]

_END: Any = object()

_HIDDEN = "the handler returned a StreamingResponse: annotate it `-> StreamingResponse`"


class Deferred(Response):
    """An answer that is made when its request is at hand; annotate handlers with its class."""

    __slots__ = ()

    async def deliver(self, exchange: Exchange, threads: Threads) -> Answer | None:
        """The answer; None where it was sent already."""
        raise NotImplementedError


class StreamingResponse(Deferred):
    """An answer whose body is an iterator, async or not; a plain one runs in the thread pool.

    It is chunked unless `headers` names a content-length. An error after the first piece can no
    longer become a status: the connection is cut, so that the client sees it is not whole.
    """

    __slots__ = ("_length", "_status", "body_iterator")
    body_iterator: Pieces
    _status: int
    _length: list[tuple[bytes, bytes]]

    def __new__(
        cls,
        content: Pieces,
        status_code: int = 200,
        headers: HeaderInput | None = None,
        media_type: str | None = None,
    ) -> Self:
        fields = list(headers.items() if isinstance(headers, Mapping) else headers or ())
        # What the engine would send by itself if an annotation hid the stream from us.
        self = super().__new__(cls, _HIDDEN, 500, fields, media_type)
        self._status = status_code
        self.body_iterator = content
        # A native answer leaves out what the engine computes; here nobody else knows the length.
        self._length = [
            (b"content-length", value.encode())
            for name, value in fields
            if name.lower() == "content-length"
        ]
        return self

    @property
    def status_code(self) -> int:
        """Of the answer, until it has begun."""
        return self._status

    @status_code.setter
    def status_code(self, value: int) -> None:
        self._status = value

    async def deliver(self, exchange: Exchange, threads: Threads) -> None:
        """Sends it; waits whenever the client is behind."""
        exchange.start(self.status_code, [*self.raw_headers, *self._length])
        pieces = _asynchronous(self.body_iterator, threads)
        try:
            async for piece in pieces:
                data = piece.encode() if isinstance(piece, str) else piece
                if data and not exchange.write(data):
                    await exchange.drain()
        finally:
            await close(pieces)
        exchange.end()


def _asynchronous(pieces: Pieces, threads: Threads) -> AsyncIterator[bytes | str]:
    if isinstance(pieces, AsyncIterable):
        return aiter(pieces)
    return _in_threads(iter(pieces), threads)


async def _in_threads(
    pieces: Iterator[bytes | str], threads: Threads
) -> AsyncIterator[bytes | str]:
    while (piece := await threads.run(lambda: next(pieces, _END))) is not _END:
        yield piece


async def close(pieces: AsyncIterator[Any]) -> None:
    """Ends a generator that was left early, so that its clean-up runs now and once."""
    aclose = getattr(pieces, "aclose", None)
    if aclose is not None:
        await aclose()
