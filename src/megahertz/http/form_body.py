"""The form in a request's body, read as it arrives.

The parser is the `multipart` package: sans-I/O, bounded, fuzzed (python-multipart, which Starlette
uses, takes callbacks and leaves the bounds to its caller).
"""

from collections.abc import AsyncIterator
from typing import Any

from multipart import (
    MultipartSegment,
    ParserError,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from megahertz.errors import Invalid
from megahertz.http.fields import Headers, pairs
from megahertz.http.forms import FormData, UploadFile

FIELDS = 1000
"""Fields and files a form (Starlette: 1,000 of each; PHP: 1,000)."""

FIELD_BYTES = 1024 * 1024
"""Of a field that is no file, which is kept in memory (Starlette: 1 MiB)."""

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


async def read_form(content_type: str | None, stream: AsyncIterator[bytes]) -> FormData:
    """The form in a body.

    Args:
        content_type: the request's.
        stream: the body.

    Raises:
        HTTPError: 415 for what is no form, 400 for a malformed one, 413 for one beyond the limits.
    """
    kind, options = parse_options_header(content_type or "")
    if kind == URLENCODED:
        return await _urlencoded(stream)
    if kind != MULTIPART:
        told = f"a form is {MULTIPART} or {URLENCODED}, not {content_type!r}"
        raise _refused(415, "header.content-type", told)
    boundary = options.get("boundary")
    if not boundary:
        raise _refused(400, "header.content-type", f"{MULTIPART} without a boundary")
    return await _multipart(boundary, stream)


async def _urlencoded(stream: AsyncIterator[bytes]) -> FormData:
    body = b"".join([piece async for piece in stream])
    if body.count(b"&") >= FIELDS:
        raise _refused(413, "body", f"more than {FIELDS} fields")
    return FormData([*pairs(body)])


async def _multipart(boundary: str, stream: AsyncIterator[bytes]) -> FormData:
    reader = _Reader()
    try:
        with PushMultipartParser(boundary, max_segment_count=FIELDS) as parser:
            async for piece in stream:
                for event in parser.parse(piece):
                    await reader.take(event)
    except ParserLimitReached as error:
        await reader.abandon()
        raise _refused(413, "body", str(error)) from error
    except ParserError as error:
        await reader.abandon()
        raise _refused(400, "body", f"{MULTIPART}: {error}") from error
    except BaseException:
        await reader.abandon()
        raise
    return FormData(reader.items)


def _refused(status: int, where: str, rule: str) -> Invalid:
    problem = {"where": where, "rule": rule}
    return Invalid(f"The form is not valid: {where}: {rule}", [problem], status_code=status)


class _Reader:
    """Collects the parser's events."""

    __slots__ = ("_part", "_text", "items")

    def __init__(self) -> None:
        self.items: list[tuple[str, str | UploadFile]] = []
        self._part: MultipartSegment | None = None
        self._text = bytearray()

    async def take(self, event: MultipartSegment | bytearray | None) -> None:
        if isinstance(event, MultipartSegment):
            self._begin(event)
        elif event is not None:
            await self._data(bytes(event))
        else:
            await self._end()

    def _begin(self, part: MultipartSegment) -> None:
        self._part = part
        if part.filename is not None:
            raw = [(name.lower().encode(), value.encode()) for name, value in part.headerlist]
            self.items.append((part.name, UploadFile(part.filename, Headers(raw))))

    async def _data(self, data: bytes) -> None:
        file = self._file()
        if file is not None:
            await file.write(data)
            return
        self._text += data
        if len(self._text) > FIELD_BYTES:
            name = self._part.name if self._part else ""
            raise _refused(413, f"body.{name}", f"more than {FIELD_BYTES} bytes")

    async def _end(self) -> None:
        file, part = self._file(), self._part
        if file is not None:
            await file.seek(0)
        elif part is not None:
            text = self._text.decode("utf-8", "replace")
            self.items.append((part.name, text))
        self._part, self._text = None, bytearray()

    def _file(self) -> UploadFile | None:
        if self._part is None or self._part.filename is None:
            return None
        last = self.items[-1][1]
        return last if isinstance(last, UploadFile) else None

    async def abandon(self) -> None:
        await FormData(self.items).close()


class PendingForm:
    """`await request.form()`, or `async with request.form() as form`, which closes its files."""

    __slots__ = ("_content_type", "_form", "_stream")

    def __init__(self, content_type: str | None, stream: AsyncIterator[bytes]) -> None:
        self._content_type = content_type
        self._stream = stream

    def __await__(self) -> Any:
        return read_form(self._content_type, self._stream).__await__()

    async def __aenter__(self) -> FormData:
        self._form = await read_form(self._content_type, self._stream)
        return self._form

    async def __aexit__(self, *exc: object) -> None:
        await self._form.close()
