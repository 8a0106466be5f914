"""Files as answers: one that a handler names, and folders of them.

The kernel copies a file to the socket (sendfile); what Python does is to decide what of it to send.
A folder keeps the files asked for last open, with the answer ready, and looks at the disk again
after a second: a hit costs no system call but the one that sends.
"""

import os
import secrets
import stat
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from megahertz.engine import Answer, Exchange
from megahertz.errors import BadSettings, HTTPError
from megahertz.http import conditions, encodings, ranges
from megahertz.http.conditions import Validators
from megahertz.http.request import Request
from megahertz.http.response import HeaderInput, RedirectResponse, Response
from megahertz.http.stream import Deferred
from megahertz.http.threads import Threads

FRESH = 1.0
"""Seconds that a file is served without looking at the disk (nginx's open_file_cache_valid: 60)."""

OPEN = 1024
"""Files that a folder keeps open; those asked for last."""

CODINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
"""Precompressed siblings, the best first: `app.js.br` beside `app.js`."""

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
        self.key = _key(found)
        etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
        self.validators = Validators(etag, found.st_mtime_ns // 10**9)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)


def _key(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_mtime_ns, found.st_size


def _whole(file: Opened, status: int, fields: Fields, media_type: str) -> Response:
    answer = Response(None, status, fields, media_type)
    answer.attach(file.fd, [(0, file.size)])
    return answer


def _answer(exchange: Exchange, file: Opened, fields: Fields, media_type: str) -> Answer | None:
    """What the request's conditions and ranges make of it; None: all of it."""
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
        fields = [item for item in fields if item[0] != "content-type"] + _validating(file)
        if self.status_code == 200:
            answer = _answer(exchange, file, fields, media_type)
            if answer is not None:
                return answer
        return _whole(file, self.status_code, fields, media_type)


def _validating(file: Opened) -> Fields:
    now = file.validators
    return [("etag", now.etag), ("last-modified", now.last_modified), ("accept-ranges", "bytes")]


@dataclass(frozen=True, slots=True)
class Variant:
    """One coding of a file, ready to send."""

    file: Opened
    fields: Fields
    media_type: str
    answer: Response


@dataclass(slots=True)
class Entry:
    """A file and its precompressed siblings.

    Attributes:
        plain: the file itself.
        coded: by content coding, the best first.
        looked: when the disk was last looked at, in seconds of the monotonic clock.
    """

    plain: Variant
    coded: dict[str, Variant]
    looked: float


class Files:
    """A folder as a handler; see `Router.files`.

    Raises:
        BadSettings: there is no such folder.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        max_age: int | None = None,
        index: str = "index.html",
        hidden: bool = False,
        clock: Any = time.monotonic,
    ) -> None:
        self._root = os.path.realpath(directory)
        if not Path(self._root).is_dir():
            raise BadSettings(f"files({os.fspath(directory)!r}): there is no such folder")
        self._caching = [] if max_age is None else [("cache-control", f"max-age={max_age}")]
        self._index = index
        self._hidden = hidden
        self._clock = clock
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    async def __call__(self, request: Request) -> Response | Answer:
        """Answers a request whose pattern ends in `{rest:path}`."""
        exchange = request._exchange
        entry = self._find(request.path_params["rest"])
        if entry is None:
            raise HTTPError(404, "no such file")
        if isinstance(entry, str):
            return RedirectResponse(f"{request.path}/", 308)
        variant = entry.plain
        if entry.coded:
            coding = encodings.choose(exchange.header("accept-encoding"), tuple(entry.coded))
            variant = variant if coding is None else entry.coded[coding]
        return _answer(exchange, variant.file, variant.fields, variant.media_type) or variant.answer

    def _find(self, name: str) -> Entry | str | None:
        """The entry; the folder's name where it has to end with a slash; None: 404."""
        entry, now = self._entries.get(name), self._clock()
        if entry is not None:
            if now - entry.looked < FRESH:
                return entry
            del self._entries[name]
        path = self._path(name)
        if path is None:
            return None
        try:
            if name and not name.endswith("/") and stat.S_ISDIR(os.stat(path).st_mode):
                return path
            fresh = self._open(path, entry, now)
        except (OSError, ValueError):
            return None
        self._entries[name] = fresh
        if len(self._entries) > OPEN:
            self._entries.popitem(last=False)
        return fresh

    def _path(self, name: str) -> str | None:
        """On the disk, or None for what can be no file of ours."""
        segments = name.split("/")
        if segments[-1] == "":
            segments[-1] = self._index
        for segment in segments:
            if segment in ("", ".", "..") or "\0" in segment or "\\" in segment:
                return None
            if segment.startswith(".") and not (self._hidden or segment == ".well-known"):
                return None
        return os.path.join(self._root, *segments)

    def _open(self, path: str, known: Entry | None, now: float) -> Entry:
        if known is not None and self._is_same(path, known):
            known.looked = now
            return known
        media_type = guess_type(path)[0] or "application/octet-stream"
        siblings = {}
        for coding, suffix in CODINGS.items():
            try:
                siblings[coding] = self._inside(path + suffix)
            except OSError:
                continue
        vary = [("vary", "accept-encoding")] if siblings else []
        common = [*self._caching, *vary, ("x-content-type-options", "nosniff")]
        coded = {
            coding: _variant(file, [*common, ("content-encoding", coding)], media_type)
            for coding, file in siblings.items()
        }
        return Entry(_variant(self._inside(path), common, media_type), coded, now)

    def _is_same(self, path: str, known: Entry) -> bool:
        """Whether neither the file nor a sibling has changed, come or gone."""
        for coding, suffix in CODINGS.items():
            variant = known.coded.get(coding)
            if _key_of(path + suffix) != (None if variant is None else variant.file.key):
                return False
        return _key_of(path) == known.plain.file.key

    def _inside(self, path: str) -> Opened:
        """Opens it; links may lead anywhere inside of the folder, and nowhere else."""
        file = Opened(path)
        real = os.readlink(f"/proc/self/fd/{file.fd}")
        if not real.startswith(self._root.rstrip("/") + "/"):
            raise PermissionError(path)
        return file


def _variant(file: Opened, fields: Fields, media_type: str) -> Variant:
    fields = [*fields, *_validating(file)]
    return Variant(file, fields, media_type, _whole(file, 200, fields, media_type))


def _key_of(path: str) -> tuple[int, int, int] | None:
    try:
        return _key(os.stat(path))
    except OSError:
        return None
