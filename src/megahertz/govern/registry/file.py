"""A registry in a file: for Kubernetes' ConfigMaps, confd, or an editor."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from megahertz.errors import BadSettings
from megahertz.govern.balance import Instance
from megahertz.govern.config import from_file

log = logging.getLogger("megahertz")

INTERVAL: Final = 1.0
"""Seconds between two looks (nginx's and Prometheus's reloads are told; CoreDNS looks every 30 s).
A look is one `stat`; inotify does not see a mounted ConfigMap being replaced, nor NFS."""


class FileRegistry:
    """Tells what a file says, and what it says since it was replaced.

        {"orders": [{"host": "10.0.0.7", "port": 8000, "weight": 2}, {"host": "...", ...}]}

    Replace it (write another one, `mv` it over); one that is read half-written is a bad one. A bad
    file is refused and logged, and the last good list stays.

    Args:
        path: TOML, YAML (`megahertz[yaml]`) or JSON.
        interval: seconds between two looks.
    """

    def __init__(self, path: str | Path, *, interval: float = INTERVAL) -> None:
        self._path, self._interval = Path(path), interval

    async def watch(self, service: str) -> AsyncGenerator[Sequence[Instance], None]:
        """As `Registry.watch`; a file that is bad or missing is waited for."""
        seen: tuple[int, ...] | None = ()
        before: Sequence[Instance] | None = None
        while True:
            now = self._stamp()
            if now != seen:
                seen = now
                try:
                    found = self._read(service)
                except BadSettings as error:
                    log.error("%s: the last list stays: %s", service, error)
                else:
                    if found != before:
                        before = found
                        yield found
            await asyncio.sleep(self._interval)

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self, service: str) -> Sequence[Instance]:
        said = from_file(self._path)
        if service not in said:
            raise BadSettings(f"{self._path}: no service {service!r} in it")
        try:
            return msgspec.convert(said[service], list[Instance])
        except (msgspec.ValidationError, BadSettings) as error:
            raise BadSettings(f"{self._path}: {service}: {error}") from error
