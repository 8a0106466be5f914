"""Dead letters: acknowledged records that no sink can take, kept on the disk for a person."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from megahertz.engine import Journal
from megahertz.errors import JournalFailed

T = TypeVar("T")

BOUNDS = {"records": 1 << 20, "bytes": 1 << 30, "segment_bytes": 64 << 20}
"""More than a million of them is no longer about records."""


def _place(directory: str | os.PathLike[str]) -> str:
    return str(Path(directory) / "dead")


def bury(directory: str, letters: Iterable[bytes]) -> None:
    """Adds encoded records, durable on return; blocks.

    Raises:
        JournalFailed: the disk refused; none of them counts as buried.
    """
    journal = Journal(_place(directory), **BOUNDS)
    try:
        for letter in letters:
            journal.append(letter)
    finally:
        journal.close()
    refused = [why for _, verdict, why in journal.outcomes() if verdict != "durable"]
    if refused:
        raise JournalFailed(f"dead letters: {refused[0]}")


def dead_letters(directory: str | os.PathLike[str], type: type[T]) -> list[T]:
    """The dead letters of a write-behind's directory, oldest first; a crash may repeat one.

    Once they are dealt with, delete `dead` in that directory. Blocks.
    """
    if not os.path.isdir(_place(directory)):
        return []
    journal, decode = Journal(_place(directory), **BOUNDS), msgspec.msgpack.Decoder(type).decode
    try:
        return [decode(letter) for _, letter in journal.replay()]
    finally:
        journal.close()
