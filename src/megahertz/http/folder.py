"""A folder of files as a handler.

It keeps the files asked for last open, with their answers ready, and looks at the disk again after
a second: a hit costs no system call but the one that sends.
"""

import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from mimetypes import guess_type
from pathlib import Path

from megahertz.engine import Answer
from megahertz.errors import BadSettings, HTTPError
from megahertz.http import encodings
from megahertz.http.files import Fields, Opened, identity, partial, validating, whole
from megahertz.http.request import Request
from megahertz.http.response import RedirectResponse, Response

FRESH = 1.0
"""Seconds that a file is served without looking at the disk (nginx's open_file_cache_valid: 60)."""

OPEN = 1024
"""Files that a folder keeps open; those asked for last."""

CODINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
"""Precompressed siblings, the best first: `app.js.br` beside `app.js`."""


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
        clock: Callable[[], float] = time.monotonic,
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
        return partial(exchange, variant.file, variant.fields, variant.media_type) or variant.answer

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
    fields = [*fields, *validating(file)]
    return Variant(file, fields, media_type, whole(file, 200, fields, media_type))


def _key_of(path: str) -> tuple[int, int, int] | None:
    try:
        return identity(os.stat(path))
    except OSError:
        return None
