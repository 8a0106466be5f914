"""What changes on the disk, for `mhz run --reload`."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from megahertz.cli.target import StartFailed

GRACE = 0.5
"""Seconds that running requests have when the code changes under them: who edits waits for them."""


def watch(folders: Sequence[str]) -> Callable[[asyncio.Event], AsyncIterator[list[str]]]:
    """Gives the names of Python files that changed in these folders, until the event is set.

    By watchfiles (inotify, and polling where a file system has none). A poller of our own would
    read the times of every file twice a second.

    Raises:
        StartFailed: watchfiles is not installed, or a folder is not there.
    """
    try:
        import watchfiles
    except ImportError as error:
        raise StartFailed("--reload needs watchfiles: pip install 'megahertz[reload]'") from error
    for folder in folders:
        if not os.path.isdir(folder):
            raise StartFailed(f"--reload-dir {folder}: there is no such folder")

    async def changes(stopped: asyncio.Event) -> AsyncIterator[list[str]]:
        only = watchfiles.PythonFilter()
        async for found in watchfiles.awatch(*folders, watch_filter=only, stop_event=stopped):
            yield _names(path for _, path in found)

    return changes


def _names(paths: Iterable[str]) -> list[str]:
    return [os.path.relpath(path) for path in paths]
