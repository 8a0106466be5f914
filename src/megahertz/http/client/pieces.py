"""A file, read piece by piece beside the loop."""

import asyncio
from typing import IO, Final

PIECE: Final = 64 * 1024
"""Bytes that are read of a file at once (httpx: 64 KiB)."""


class Pieces:
    """What is left of a file, read in a thread."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        piece = await asyncio.to_thread(self._file.read, PIECE)
        if not piece:
            raise StopAsyncIteration
        return piece
