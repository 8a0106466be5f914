"""Answers sent piece by piece, no faster than the client reads."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Protocol, Self

from megahertz.engine import Answer, Exchange
from megahertz.http.fields import Raw
from megahertz.http.response import HeaderInput, Response
from megahertz.http.threads import Threads

Pieces = AsyncIterable[bytes | str] | Iterable[bytes | str]

_END: Any = object()

_HIDDEN = "the handler returned a StreamingResponse: annotate it `-> StreamingResponse`"


STATIC = 8 * 1024
"""Bytes that are held back for the rest of the loop's turn: a stream that ends within them is sent
with its length, like any answer (the reports: chunked beyond 8 KiB)."""


class Compressor(Protocol):
    """One body, piece by piece."""

    def compress(self, data: bytes) -> bytes:
        """Some of it, or nothing yet."""
        ...

    def flush(self) -> bytes:
        """What is left of all that was given, so that the client can read it now."""
        ...

    def finish(self) -> bytes:
        """The end."""
        ...


class Deferred(Response):
    """An answer that is made when its request is at hand; annotate handlers with its class."""

    __slots__ = ()

    async def deliver(self, exchange: Exchange, threads: Threads) -> Answer | None:
        """The answer; None where it was sent already."""
        raise NotImplementedError


class StreamingResponse(Deferred):
    """An answer whose body is an iterator, async or not; a plain one runs in the thread pool.

    It is chunked, unless `headers` names a content-length, or it has ended before the loop's turn
    has, within 8 KiB: then it is sent with its length. An error after the first piece can no
    longer become a status: the connection is cut, so that the client sees it is not whole.
    """

    __slots__ = ("_compressor", "_length", "_status", "body_iterator")
    body_iterator: Pieces
    _compressor: Compressor | None
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
        self._compressor = None
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

    def squeeze(self, compressor: Compressor) -> None:
        """Sends what `compressor` makes of the pieces; each can be read when it has come."""
        self._compressor = compressor
        self._length = []

    async def deliver(self, exchange: Exchange, threads: Threads) -> None:
        """Sends it; waits whenever the client is behind."""
        opening = _Opening(exchange, self.status_code, [*self.raw_headers, *self._length])
        opening.known = bool(self._length)
        pieces = _asynchronous(self.body_iterator, threads)
        squeeze = self._compressor
        try:
            async for piece in pieces:
                data = piece.encode() if isinstance(piece, str) else piece
                if data and squeeze is not None:
                    data = squeeze.compress(data) + squeeze.flush()
                if data and not opening.write(data):
                    await exchange.drain()
        finally:
            opening.leave()
            await close(pieces)
        if squeeze is not None:
            opening.write(squeeze.finish())
        opening.end()


class _Opening:
    """The beginning of a stream, as long as it may still turn out to be all of it."""

    __slots__ = ("_exchange", "_fields", "_held", "_status", "_timer", "known")

    def __init__(self, exchange: Exchange, status: int, fields: Raw) -> None:
        self._exchange = exchange
        self._status = status
        self._fields = fields
        self._held = b""
        self._timer: asyncio.Handle | None = None
        self.known = False

    def write(self, data: bytes) -> bool:
        """As `Exchange.write`."""
        if self._exchange.started:
            return self._exchange.write(data)
        self._held += data
        if self.known or len(self._held) > STATIC:
            return self._begin()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_soon(self._begin)
        return True

    def _begin(self) -> bool:
        if self._exchange.started or self._exchange.closed:
            return True
        self._exchange.start(self._status, self._fields)
        held, self._held = self._held, b""
        return self._exchange.write(held)

    def leave(self) -> None:
        """The iterator has ended, well or not."""
        if self._timer is not None:
            self._timer.cancel()

    def end(self) -> None:
        """Completes the answer: whole where nothing of it was sent yet."""
        if not self._exchange.started:
            length = [] if self.known else [(b"content-length", b"%d" % len(self._held))]
            self._exchange.start(self._status, [*self._fields, *length])
            self._exchange.write(self._held)
        self._exchange.end()


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
