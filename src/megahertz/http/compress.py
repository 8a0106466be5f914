"""Answers compressed for the clients that take it: zstd, br, gzip.

gzip is Python's zlib. br and zstd are there where their packages are (`pip install
megahertz[compress]`): Google's `brotli` and `backports.zstd`, which is Python 3.14's own module
(`zstandard` is the other; it has more knobs and another interface).
"""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from megahertz.engine import Answer
from megahertz.errors import BadSettings
from megahertz.http.encodings import choose
from megahertz.http.fields import Headers
from megahertz.http.request import Request
from megahertz.http.response import Response
from megahertz.http.stream import Compressor, Deferred, StreamingResponse
from megahertz.types import Handler

MINIMUM = 1024
"""Bytes below which compressing costs more than it saves: a packet has 1,460 (nginx: 20, Caddy:
512, Starlette: 500)."""

IN_THREAD = 128 * 1024
"""Bytes from which a body is compressed in a thread: some 2 ms of gzip."""

LARGEST = 64 * 1024 * 1024
"""Bytes above which a body is sent as it is."""

TYPES = ("text/", "application/json", "application/javascript", "application/xml", "image/svg+xml")
"""Beginnings of media types that are compressed; also everything that ends in +json or +xml."""


class Gzip:
    """RFC 1952, by zlib."""

    def __init__(self) -> None:
        # Level 6 is everybody's; 31: a window of 32 KiB and gzip's frame.
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, 31)

    def compress(self, data: bytes) -> bytes:
        return self._deflate.compress(data)

    def flush(self) -> bytes:
        return self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._deflate.flush(zlib.Z_FINISH)


class Brotli:
    """RFC 7932, by Google's brotli; level 4, which takes about as long as gzip's 6."""

    def __init__(self, module: Any) -> None:
        self._brotli = module.Compressor(quality=4)

    def compress(self, data: bytes) -> bytes:
        return bytes(self._brotli.process(data))

    def flush(self) -> bytes:
        return bytes(self._brotli.flush())

    def finish(self) -> bytes:
        return bytes(self._brotli.finish())


class Zstd:
    """RFC 8878, at level 3, its default."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._zstd = module.ZstdCompressor(level=3)

    def compress(self, data: bytes) -> bytes:
        return bytes(self._zstd.compress(data))

    def flush(self) -> bytes:
        return bytes(self._zstd.flush(self._zstd.FLUSH_BLOCK))

    def finish(self) -> bytes:
        return bytes(self._zstd.flush(self._zstd.FLUSH_FRAME))


def available() -> dict[str, Callable[[], Compressor]]:
    """The codings that can be used here, the best first."""
    found: dict[str, Callable[[], Compressor]] = {}
    zstd = _module("compression.zstd") or _module("backports.zstd")
    if zstd is not None:
        found["zstd"] = lambda: Zstd(zstd)
    brotli = _module("brotli")
    if brotli is not None:
        found["br"] = lambda: Brotli(brotli)
    return found | {"gzip": Gzip}


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


class Compress:
    """A layer: `app.layer(Compress())`.

    What is smaller than `minimum`, of another type, encoded already, partial, or an event stream
    stays as it is. Do not compress answers that hold a secret beside something that the client
    chose: their size tells of it (BREACH).

    Args:
        minimum: bytes of a body.
        codings: to offer, the best first; those that can be used here where None.

    Raises:
        BadSettings: a coding that is none, or whose package is not installed.
    """

    def __init__(self, minimum: int = MINIMUM, codings: Sequence[str] | None = None) -> None:
        known = available()
        chosen = tuple(known) if codings is None else tuple(codings)
        for coding in chosen:
            if coding not in known:
                raise BadSettings(
                    f"Compress(codings={coding!r}): here there are {', '.join(known)}; "
                    f"pip install megahertz[compress]"
                )
        self._minimum = minimum
        self._makers = {coding: known[coding] for coding in chosen}
        self._offered = chosen

    def __call__(self, handler: Handler) -> Handler:
        """The handler behind this layer."""

        async def compressed(request: Request) -> Any:
            answer = await handler(request)
            if isinstance(answer, StreamingResponse):
                return self._stream(request, answer)
            if isinstance(answer, Deferred) or not isinstance(answer, Answer):
                return answer
            return await self._whole(request, answer)

        return compressed

    async def _whole(self, request: Request, answer: Answer) -> Answer:
        body, headers = answer.body, Headers(answer.raw_headers)
        if not self._minimum <= len(body) <= LARGEST or not _compressible(answer, headers):
            return answer
        coding = self._choose(request)
        if coding is None:
            fields = [*answer.raw_headers, (b"vary", b"accept-encoding")]
        else:
            body = await _squeeze(self._makers[coding], body)
            fields = _fields(answer, coding)
        made = Response(body, answer.status_code)
        made.raw_headers = fields
        return made

    def _stream(self, request: Request, answer: StreamingResponse) -> StreamingResponse:
        headers = Headers(answer.raw_headers)
        if not _compressible(answer, headers) or (coding := self._choose(request)) is None:
            return answer
        answer.raw_headers = _fields(answer, coding)
        answer.squeeze(self._makers[coding]())
        return answer

    def _choose(self, request: Request) -> str | None:
        return choose(request.headers.get("accept-encoding"), self._offered)


def _compressible(answer: Answer, headers: Headers) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/event-stream" or "content-encoding" in headers:
        return False
    if answer.status_code in (204, 206, 304) or "no-transform" in headers.get("cache-control", ""):
        return False
    return kind.startswith(TYPES) or kind.endswith(("+json", "+xml"))


def _fields(answer: Answer, coding: str) -> list[tuple[bytes, bytes]]:
    """With the coding named, and the entity tag weak: the bytes are others (RFC 9110, 8.8.1)."""
    fields = []
    for name, value in answer.raw_headers:
        strong = name == b"etag" and not value.startswith(b"W/")
        fields.append((name, b"W/" + value if strong else value))
    return [*fields, (b"content-encoding", coding.encode()), (b"vary", b"accept-encoding")]


async def _squeeze(make: Callable[[], Compressor], body: bytes) -> bytes:
    def work() -> bytes:
        compressor = make()
        return compressor.compress(body) + compressor.finish()

    return work() if len(body) < IN_THREAD else await asyncio.to_thread(work)
