"""Settings in etcd: a document, and what it was before.

Layout: `KEY` is the document, a JSON object; `KEY/history/N` is each version as it was written,
beside who wrote it, when and why, where N is the version before, in 20 digits. A version is the
revision of the store at which it was written, the same for both, as they are written by one
transaction; it never goes back, also not when the document is deleted and made again.
"""

import time
from typing import Final

import msgspec

from megahertz.backends import Etcd, etcd
from megahertz.errors import BadSettings, CompareFailed

KEEP: Final = 100
"""Versions of the history; Kubernetes keeps 10 of a Deployment, Nacos 30 days."""


class Document(msgspec.Struct, frozen=True):
    """A version of the settings.

    Attributes:
        version: the revision at which it was written; 0: there is none yet.
        text: a JSON object; empty: it is not there.
    """

    version: int
    text: bytes


class Written(msgspec.Struct, frozen=True):
    """One of the history.

    Attributes:
        document: as it was written.
        at: when, in seconds since 1970, by the clock of who wrote it.
        by: who.
        why: what they said.
        version: see `Document`; known once it is read.
    """

    document: msgspec.Raw
    at: float
    by: str
    why: str = ""
    version: int = 0


class Documents:
    """One document with its history.

    Args:
        etcd: where it is.
        key: of the document, such as `config/shop`.
        keep: versions of the history; older ones are deleted.

    Raises:
        BadSettings: an empty key.
    """

    def __init__(self, etcd: Etcd, key: str, *, keep: int = KEEP) -> None:
        if not key.strip("/") or keep < 1:
            raise BadSettings(f"Documents(key={key!r}, keep={keep}): a key, and at least 1")
        self.etcd, self.key, self._keep = etcd, key, keep
        self._history = f"{key}/history/"

    async def read(self) -> Document:
        """The present one."""
        return (await self.read_at())[0]

    async def read_at(self) -> tuple[Document, int]:
        """The present one, and the revision of the store at which it is that."""
        said = await self.etcd.transact([], [etcd.Get(self.key)])
        found = said.answers[0]
        if not isinstance(found, list) or not found:
            return Document(0, b""), said.revision
        return Document(found[0].modified, found[0].value), said.revision

    async def write(self, text: bytes, *, expected: int, by: str, why: str = "") -> int:
        """Writes it where it is still what the writer has seen; gives the new version.

        Args:
            text: a JSON object.
            expected: the version that the writer has read; 0: none.
            by: who writes.
            why: a sentence for those who read the history.

        Raises:
            CompareFailed: somebody has written meanwhile; nothing was done.
        """
        kept = msgspec.json.encode(Written(msgspec.Raw(text), time.time(), by, why))
        said = await self.etcd.transact(
            [etcd.Compare(self.key, "modified", "=", expected)],
            [etcd.Put(self.key, text), etcd.Put(f"{self._history}{expected:020}", kept)],
            [etcd.Get(self.key)],
        )
        if not said.succeeded:
            raise CompareFailed(
                f"{self.key} is no longer version {expected}: somebody has written it since; "
                "read it again"
            )
        await self._trim()
        return said.revision

    async def _trim(self) -> None:
        entries = (await self.etcd.list(self._history)).entries
        for old in entries[: -self._keep]:
            await self.etcd.delete(old.key)

    async def history(self) -> list[Written]:
        """What was written, the newest first."""
        entries = (await self.etcd.list(self._history)).entries
        return [_written(it.value, it.modified) for it in reversed(entries)]

    async def version(self, number: int) -> Written:
        """One of the history.

        Raises:
            BadSettings: it is not there (any more).
        """
        history = await self.history()
        for written in history:
            if written.version == number:
                return written
        known = ", ".join(str(it.version) for it in history[:5]) or "none"
        raise BadSettings(f"{self.key}: no version {number} in its history (newest: {known})")

    async def roll_back(self, number: int, *, by: str, why: str = "") -> int:
        """Writes a version of the history anew; gives the new version's number.

        Raises:
            BadSettings: it is not there (any more).
            CompareFailed: somebody has written meanwhile.
        """
        now, wanted = await self.read(), await self.version(number)
        said = why or f"back to version {number}"
        return await self.write(bytes(wanted.document), expected=now.version, by=by, why=said)


def _written(text: bytes, version: int) -> Written:
    found = msgspec.json.decode(text, type=Written)
    return msgspec.structs.replace(found, version=version)
