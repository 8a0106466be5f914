"""A file as an answer: the kernel copies it (sendfile), Python decides what of it is sent."""

import os
import secrets
import stat
from collections.abc import Mapping
from mimetypes import guess_type
from typing import Self
from urllib.parse import quote

from megahertz.engine import Answer, Exchange
from megahertz.errors import HTTPError
from megahertz.http import conditions, ranges
from megahertz.http.conditions import Validators
from megahertz.http.response import HeaderInput, Response
from megahertz.http.stream import Deferred
from megahertz.http.threads import Threads

Fields = list[tuple[str, str]]


class Opened:
    """An open regular file.

    Attributes:
        fd: closed with this object; answers that are being sent have a duplicate.
        size: bytes.
        validators: its entity tag and time of change.
    """

    __slots__ = ("fd", "key", "size", "validators")

    def __init__(self, path: str) -> None:
        """Raises OSError where there is no such file, or it is none."""
        # NONBLOCK: opening a named pipe must not wait for its writer.
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(self.fd)
        if not stat.S_ISREG(found.st_mode):
            raise IsADirectoryError(path)
        self.size = found.st_size
        self.key = identity(found)
        etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
        self.validators = Validators(etag, found.st_mtime_ns // 10**9)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)


def identity(found: os.stat_result) -> tuple[int, int, int]:
    """Differs when the file at a path is another one, or was changed."""
    return found.st_ino, found.st_mtime_ns, found.st_size


def whole(file: Opened, status: int, fields: Fields, media_type: str) -> Response:
    """The answer with all of it."""
    answer = Response(None, status, fields, media_type)
    answer.attach(file.fd, [(0, file.size)])
    return answer


def partial(exchange: Exchange, file: Opened, fields: Fields, media_type: str) -> Answer | None:
    """What the request's conditions and ranges make of it; None: all of it.

    Raises:
        HTTPError: 412 for a condition that does not hold, 416 for ranges outside of it.
    """
    header = exchange.header
    status = conditions.evaluate(header, file.validators)
    if status == 304:
        return Response(None, 304, fields)
    if status == 412:
        raise HTTPError(412, "the file is another one now")
    asked = header("range")
    if asked is None or not conditions.may_range(header, file.validators):
        return None
    try:
        parts = ranges.parse(asked, file.size)
    except ranges.Unsatisfiable:
        headers = {"content-range": f"bytes */{file.size}"}
        raise HTTPError(416, "the file has no such range", headers=headers) from None
    if parts is None:
        return None
    if len(parts) == 1:
        ((start, length),) = parts
        where = f"bytes {start}-{start + length - 1}/{file.size}"
        answer = Response(None, 206, [*fields, ("content-range", where)], media_type)
        answer.attach(file.fd, parts)
        return answer
    return _multipart(file, parts, fields, media_type)


def _multipart(
    file: Opened, parts: list[tuple[int, int]], fields: Fields, media_type: str
) -> Response:
    """Several ranges in one body (RFC 9110 section 14.6)."""
    boundary = secrets.token_hex(16)
    pieces: list[bytes | tuple[int, int]] = []
    for start, length in parts:
        where = f"bytes {start}-{start + length - 1}/{file.size}"
        lines = ["", f"--{boundary}", f"content-type: {media_type}", f"content-range: {where}"]
        pieces += ["\r\n".join([*lines, "", ""]).encode(), (start, length)]
    pieces.append(f"\r\n--{boundary}--\r\n".encode())
    answer = Response(None, 206, fields, f"multipart/byteranges; boundary={boundary}")
    answer.attach(file.fd, pieces)
    return answer


class FileResponse(Deferred):
    """A file: with validators, conditions and ranges, sent by the kernel.

    Args:
        path: of a regular file; 404 where there is none.
        status_code: of an answer with all of it.
        headers: added to the answer.
        media_type: guessed from the name unless given.
        filename: what a browser calls it when it saves it.
        content_disposition_type: `attachment` saves it, `inline` shows it.
    """

    __slots__ = ("_path",)
    _path: str

    def __new__(
        cls,
        path: str | os.PathLike[str],
        status_code: int = 200,
        headers: HeaderInput | None = None,
        media_type: str | None = None,
        *,
        filename: str | None = None,
        content_disposition_type: str = "attachment",
    ) -> Self:
        fields = list(headers.items() if isinstance(headers, Mapping) else headers or ())
        if filename is not None:
            name = f"{content_disposition_type}; filename*=utf-8''{quote(filename)}"
            fields.append(("content-disposition", name))
        name = os.fspath(path)
        kind = media_type or guess_type(filename or name)[0] or "application/octet-stream"
        self = super().__new__(cls, None, status_code, fields, kind)
        self._path = name
        return self

    async def deliver(self, exchange: Exchange, threads: Threads) -> Answer:
        """The answer to this request; the disk is waited for in a thread."""
        try:
            file = await threads.run(lambda: Opened(self._path))
        except OSError as error:
            raise HTTPError(404, "no such file") from error
        fields = [(name.decode(), value.decode("latin-1")) for name, value in self.raw_headers]
        media_type = next(value for name, value in fields if name == "content-type")
        fields = [item for item in fields if item[0] != "content-type"] + validating(file)
        if self.status_code == 200:
            answer = partial(exchange, file, fields, media_type)
            if answer is not None:
                return answer
        return whole(file, self.status_code, fields, media_type)


def validating(file: Opened) -> Fields:
    """What lets a client ask for the file again, or for parts of it."""
    now = file.validators
    return [("etag", now.etag), ("last-modified", now.last_modified), ("accept-ranges", "bytes")]
