"""Forms as handlers see them: fields and files, large files on the disk."""

import asyncio
from typing import Any

from megahertz.http.fields import Headers

SPOOL_BYTES = 1024 * 1024
"""Of a file before it goes to the disk (Starlette and Django: 1 and 2.5 MiB)."""


class UploadFile:
    """A file of a form; in memory up to 1 MiB, then on the disk, and gone with the form.

    Attributes:
        filename: as the client calls it: never a path of ours.
        headers: of its part.
        size: bytes.
        file: the file object itself, for code that does not wait.
    """

    __slots__ = ("_headers", "file", "filename", "size")

    def __init__(self, filename: str, headers: Headers) -> None:
        from tempfile import SpooledTemporaryFile  # most services are sent no file

        self.filename = filename
        self.size = 0
        self.file: Any = SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 - closed with the form
        self._headers = headers

    @property
    def headers(self) -> Headers:
        """Of its part."""
        return self._headers

    @property
    def content_type(self) -> str | None:
        """As the client says."""
        return self._headers.get("content-type")

    async def read(self, size: int = -1) -> bytes:
        """The next bytes; all that is left without a size."""
        return await self._do(self.file.read, size)  # type: ignore[no-any-return]

    async def write(self, data: bytes) -> None:
        """Appends where the file stands."""
        await self._do(self.file.write, data)
        self.size += len(data)

    async def seek(self, offset: int) -> None:
        """Goes to a place from the beginning."""
        await self._do(self.file.seek, offset)

    async def close(self) -> None:
        """Forgets it."""
        await self._do(self.file.close)

    async def _do(self, call: Any, *arguments: Any) -> Any:
        """What may wait for the disk does so in a thread."""
        if self.file._rolled:
            return await asyncio.to_thread(call, *arguments)
        return call(*arguments)

    def __repr__(self) -> str:
        return f"<UploadFile {self.filename!r} {self.size} bytes>"


class FormData:
    """The fields of a form in order; `[name]` is the last of that name, as in Starlette."""

    __slots__ = ("_items",)

    def __init__(self, items: list[tuple[str, str | UploadFile]]) -> None:
        self._items = items

    def __getitem__(self, name: str) -> str | UploadFile:
        return dict(self._items)[name]

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._items)

    def __len__(self) -> int:
        return len(dict(self._items))

    def get(self, name: str, default: Any = None) -> Any:
        """The last value of that name, or `default`."""
        return dict(self._items).get(name, default)

    def getlist(self, name: str) -> list[str | UploadFile]:
        """Every value of that name, in order."""
        return [value for key, value in self._items if key == name]

    def multi_items(self) -> list[tuple[str, str | UploadFile]]:
        """Every field, in order."""
        return list(self._items)

    async def close(self) -> None:
        """Forgets its files."""
        for _, value in self._items:
            if isinstance(value, UploadFile):
                await value.close()

    def __repr__(self) -> str:
        return f"FormData({self._items!r})"
