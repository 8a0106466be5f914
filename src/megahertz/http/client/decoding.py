"""Bodies without their content coding: gzip, deflate, br, zstd, and several in a row.

Theory: a body of a kilobyte can unfold to a gigabyte. So every decoder is asked for at most so many
bytes at a time: who streams gets pieces of 64 KiB, who wants the whole is told when it is more than
it may be, before it is there.

gzip and deflate are Python's zlib. br and zstd are there where their packages are (`pip install
megahertz[compress]`), br from 1.2 on: before, it could not be told where to stop.
"""

import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final, Protocol

from megahertz.errors import AnswerTooLarge, BadAnswer

PIECE: Final = 64 * 1024
"""Bytes that are unfolded at once."""

MOST_CODINGS: Final = 5
"""Codings on top of each other (curl: 5, CVE-2022-32206)."""


class Decoder(Protocol):
    """Takes a coding away."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What of the body comes of it, in pieces; BadAnswer where it is none of its coding."""
        ...

    def whole(self) -> bool:
        """Whether the end has been seen."""
        ...


class _Zlib:
    """RFC 1952, members in a row too; RFC 1950, and the raw RFC 1951 that some call deflate."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflate: Any = None
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._held += data
        while self._held and self._begin():
            try:
                piece = self._inflate.decompress(self._held, PIECE)
            except zlib.error as error:
                raise BadAnswer(f"a body that is no {self._coding}: {error}") from None
            self._held = self._inflate.unconsumed_tail or self._inflate.unused_data
            if piece:
                yield piece
        while self._inflate is not None and not self._inflate.eof:
            piece = self._inflate.decompress(b"", PIECE)
            if not piece:
                return
            yield piece

    def _begin(self) -> bool:
        """Whether there is something that takes what is held; its first two octets say what."""
        if self._inflate is not None and not self._inflate.eof:
            return True
        if len(self._held) < 2:
            return False
        if self._inflate is not None and (
            self._coding != "gzip" or not self._held.startswith(b"\x1f\x8b")
        ):
            self._held = b""  # what is behind the end is nobody's
            return False
        self._inflate = zlib.decompressobj(self._bits())
        return True

    def _bits(self) -> int:
        if self._coding == "gzip":
            return 31
        method, check = self._held[:2]
        return 15 if method & 15 == 8 and (method * 256 + check) % 31 == 0 else -15

    def whole(self) -> bool:
        return bool(self._inflate.eof) if self._inflate is not None else not self._held


class _Brotli:
    """RFC 7932."""

    def __init__(self, module: Any) -> None:
        self._module, self._brotli = module, module.Decompressor()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._begun = True
        try:
            piece = self._brotli.process(data, output_buffer_limit=PIECE)
            while piece or not self._brotli.can_accept_more_data():
                if piece:
                    yield piece
                if self._brotli.is_finished():
                    return
                piece = self._brotli.process(b"", output_buffer_limit=PIECE)
        except self._module.error as error:
            raise BadAnswer(f"a body that is no br: {error}") from None

    def whole(self) -> bool:
        return not self._begun or bool(self._brotli.is_finished())


class _Zstd:
    """RFC 8878, frames in a row too."""

    def __init__(self, module: Any) -> None:
        self._module, self._zstd = module, module.ZstdDecompressor()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._begun = self._begun or bool(data)
        try:
            while data or not (self._zstd.eof or self._zstd.needs_input):
                if self._zstd.eof:
                    self._zstd = self._module.ZstdDecompressor()
                piece = self._zstd.decompress(data, PIECE)
                data = self._zstd.unused_data
                if piece:
                    yield piece
        except self._module.ZstdError as error:
            raise BadAnswer(f"a body that is no zstd: {error}") from None

    def whole(self) -> bool:
        return not self._begun or bool(self._zstd.eof)


class _Row:
    """Several, the last applied first."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def feed(self, data: bytes) -> Iterator[bytes]:
        return self._through(0, data)

    def _through(self, at: int, data: bytes) -> Iterator[bytes]:
        if at == len(self._decoders):
            yield data
            return
        for piece in self._decoders[at].feed(data):
            yield from self._through(at + 1, piece)

    def whole(self) -> bool:
        return all(decoder.whole() for decoder in self._decoders)


def _found(*names: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


_brotli = _found("brotli")
_zstd = _found("compression.zstd", "backports.zstd")

KNOWN: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Zlib("gzip"),
    "x-gzip": lambda: _Zlib("gzip"),
    "deflate": lambda: _Zlib("deflate"),
}
if hasattr(getattr(_brotli, "Decompressor", None), "can_accept_more_data"):
    KNOWN["br"] = lambda: _Brotli(_brotli)
if _zstd is not None:
    KNOWN["zstd"] = lambda: _Zstd(_zstd)

ACCEPTED: Final = ", ".join(name for name in KNOWN if name != "x-gzip")
"""Of Accept-Encoding."""


def decoder_of(codings: str) -> Decoder | None:
    """For the value of a Content-Encoding; None: the body is what it is.

    One of a coding that nobody here knows is left as it came, as httpx does.

    Raises:
        BadAnswer: more codings than anybody has a use for.
    """
    names = [name for part in codings.split(",") if (name := part.strip().lower())]
    known = [KNOWN[name] for name in names if name in KNOWN]
    if len(names) > MOST_CODINGS:
        raise BadAnswer(f"a body with {len(names)} codings: at most {MOST_CODINGS}")
    if not known:
        return None
    decoders = [make() for make in reversed(known)]
    return decoders[0] if len(decoders) == 1 else _Row(decoders)


def decoded(body: bytes, codings: str, most: int) -> bytes:
    """A whole body without its codings.

    Raises:
        BadAnswer: it is broken.
        AnswerTooLarge: it would be longer than `most` bytes.
    """
    decoder = decoder_of(codings) if body else None
    if decoder is None:
        return body
    pieces, size = [], 0
    for piece in decoder.feed(body):
        size += len(piece)
        if size > most:
            raise AnswerTooLarge(
                f"a body of {len(body)} bytes that unfolds to more than {most}: "
                "stream it, or allow more by Client(body_bytes=)"
            )
        pieces.append(piece)
    if not decoder.whole():
        raise BadAnswer(f"a body in {codings} that ends before its end")
    return b"".join(pieces)
