"""A form with files (RFC 7578), sent as it is read.

Names and file names are escaped as browsers do (WHATWG HTML, "multipart form data"): a quote and
line breaks by percent signs, so that no name ends its field. urllib3 and httpx do the same;
`multipart`, which reads forms here, does not write them.
"""

import os
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from mimetypes import guess_type
from pathlib import PurePath
from secrets import token_hex
from typing import IO, Any

from megahertz.errors import Misused
from megahertz.http.client.lines import FieldTypes, Lines, lines, value_of
from megahertz.http.client.pieces import Pieces

FileContent = bytes | str | IO[bytes]
FileTypes = (
    FileContent
    | tuple[str | None, FileContent]
    | tuple[str | None, FileContent, str | None]
    | tuple[str | None, FileContent, str | None, FieldTypes]
)

_ESCAPED = {'"': "%22", "\\": "\\\\"} | {
    chr(code): f"%{code:02X}" for code in range(0x20) if code != 0x1B
}
_ESCAPES = re.compile("|".join(map(re.escape, _ESCAPED)))


@dataclass(frozen=True, slots=True)
class _Part:
    head: bytes
    content: bytes | IO[bytes]
    start: int | None
    """Where a file stood; None: it cannot be set back there."""
    size: int | None
    """Bytes of the content, where that is known."""


class Multipart:
    """Fields, then files.

    Args:
        data: fields.
        files: by the name of their field: a content, or `(file name, content)`, and behind these
            the content's type and other fields of the part.
    """

    def __init__(
        self,
        data: Sequence[tuple[str, str]],
        files: Mapping[str, FileTypes] | Iterable[tuple[str, FileTypes]],
    ) -> None:
        self._boundary = token_hex(16)
        items = files.items() if isinstance(files, Mapping) else files
        self._parts = [self._field(name, value) for name, value in data]
        self._parts += [self._file(name, file) for name, file in items]
        self._end = f"--{self._boundary}--\r\n".encode()

    @property
    def fields(self) -> Lines:
        """Its type, and its length where that is known."""
        found = [("content-type", f"multipart/form-data; boundary={self._boundary}")]
        sizes = [part.size for part in self._parts]
        if None not in sizes:
            heads = sum(len(part.head) + 2 for part in self._parts)
            whole = heads + sum(size or 0 for size in sizes) + len(self._end)
            found.append(("content-length", str(whole)))
        return found

    @property
    def again(self) -> bool:
        """Whether every file can be read a second time."""
        return all(isinstance(it.content, bytes) or it.start is not None for it in self._parts)

    def body(self) -> "bytes | Multipart":
        """Itself, or the bytes where there is no file to read."""
        pieces: list[bytes] = []
        for part in self._parts:
            if not isinstance(part.content, bytes):
                return self
            pieces += [part.head, part.content, b"\r\n"]
        return b"".join([*pieces, self._end])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            if isinstance(part.content, bytes):
                yield part.head + part.content + b"\r\n"
                continue
            yield part.head
            if part.start is not None:
                part.content.seek(part.start)
            async for piece in Pieces(part.content):
                yield piece
            yield b"\r\n"
        yield self._end

    def _field(self, name: str, value: str) -> _Part:
        content = value.encode()
        return _Part(self._head(name, None, []), content, None, len(content))

    def _file(self, name: str, file: Any) -> _Part:
        told = file if isinstance(file, tuple) else (_named(file), file)
        filename, content, kind, more = (*told, None, None)[:4]
        others = lines(more)
        if value_of(others, "content-type") is None:
            if kind is None and filename:
                kind = guess_type(filename)[0] or "application/octet-stream"
            others += lines([] if kind is None else [("content-type", kind)])
        head = self._head(name, filename, others)
        if isinstance(content, str):
            content = content.encode()
        if isinstance(content, bytes):
            return _Part(head, content, None, len(content))
        if not hasattr(content, "read"):
            raise Misused(f"files[{name!r}]: bytes, a str or a binary file expected")
        start, size = _measured(content)
        return _Part(head, content, start, size)

    def _head(self, name: str, filename: str | None, others: Lines) -> bytes:
        told = f'Content-Disposition: form-data; name="{_escaped(name)}"'
        if filename:
            told += f'; filename="{_escaped(filename)}"'
        rest = "".join(f"{field.title()}: {value}\r\n" for field, value in others)
        return f"--{self._boundary}\r\n{told}\r\n{rest}\r\n".encode()


def _escaped(text: str) -> str:
    return _ESCAPES.sub(lambda found: _ESCAPED[found[0]], text)


def _named(file: Any) -> str:
    name = getattr(file, "name", None)
    return PurePath(name).name if isinstance(name, str) else "upload"


def _measured(file: Any) -> tuple[int | None, int | None]:
    """Where it stands, and how many bytes there are from there on; None: not known."""
    start = size = None
    with suppress(OSError, AttributeError, ValueError):
        start = int(file.tell())
        end = int(file.seek(0, os.SEEK_END))
        file.seek(start)
        size = end - start
    return (start, size) if size is not None else (None, None)
