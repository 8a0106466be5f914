"""What etcd keeps and tells: entries, changes, and the parts of a transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from megahertz.backends.etcd.messages import messages

_TARGETS = {"version": 0, "created": 1, "modified": 2, "value": 3, "lease": 4}
_FIELDS = {"created": "create_revision", "modified": "mod_revision"}
_RESULTS = {"=": 0, ">": 1, "<": 2, "!=": 3}


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value.

    Attributes:
        key: octets that are no UTF-8 are surrogates, and go back as they came.
        value: of a deleted key: empty.
        created: the revision at which the key came into being.
        modified: the revision at which it was written last, or deleted.
        version: how often it was written since it came into being; 0: it is deleted.
        lease: that it goes with; 0: none.
    """

    key: str
    value: bytes
    created: int
    modified: int
    version: int
    lease: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What one or more whole revisions have changed, in order.

    Attributes:
        revision: up to which nothing is missing.
        entries: as they are since; a `version` of 0 is a key that was deleted.
    """

    revision: int
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Listing:
    """All entries of a prefix at one revision, by key."""

    revision: int
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Get:
    """Reads a key, or all that begin with it."""

    key: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Put:
    """Writes a key."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes a key, or all that begin with it."""

    key: str
    prefix: bool = False


Operation = Get | Put | Delete


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition of a transaction: `Compare("shop/a", "modified", "=", 7)`.

    A key that is not there has `created`, `modified` and `version` 0.
    """

    key: str
    what: Literal["version", "created", "modified", "value", "lease"]
    how: Literal["=", "!=", "<", ">"]
    value: int | bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction.

    Attributes:
        succeeded: whether every condition held, and `then` was done; else `otherwise` was.
        revision: of the store behind it.
        answers: of each operation in order: entries of a `Get`, how many a `Delete` deleted,
            None for a `Put`.
    """

    succeeded: bool
    revision: int
    answers: Sequence[list[Entry] | int | None]


def octets(key: str) -> bytes:
    """As it goes over the wire."""
    return key.encode("utf-8", "surrogateescape")


def entry(found: Any) -> Entry:
    """From etcd's own message."""
    return Entry(
        found.key.decode("utf-8", "surrogateescape"),
        found.value,
        found.create_revision,
        found.mod_revision,
        found.version,
        found.lease,
    )


def span(key: str, prefix: bool) -> dict[str, bytes]:
    """The fields `key` and `range_end` of one key, or of all that begin with it."""
    start = octets(key)
    if not prefix:
        return {"key": start}
    return {"key": start or b"\0", "range_end": _behind(start)}


def _behind(prefix: bytes) -> bytes:
    """The first key behind all that begin with `prefix`; `\\0` is the end of everything."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\0"


def comparison(compare: Compare) -> Any:
    """As a message."""
    return messages().Compare(
        key=octets(compare.key),
        target=_TARGETS[compare.what],
        result=_RESULTS[compare.how],
        **{_FIELDS.get(compare.what, compare.what): compare.value},
    )


def operation(wanted: Operation) -> Any:
    """As a message."""
    m = messages()
    if isinstance(wanted, Put):
        put = m.PutRequest(key=octets(wanted.key), value=wanted.value, lease=wanted.lease)
        return m.RequestOp(request_put=put)
    where = span(wanted.key, wanted.prefix)
    if isinstance(wanted, Get):
        return m.RequestOp(request_range=m.RangeRequest(**where))
    return m.RequestOp(request_delete_range=m.DeleteRequest(**where))


def answer(said: Any) -> list[Entry] | int | None:
    """Of one operation."""
    if said.HasField("response_range"):
        return [entry(found) for found in said.response_range.kvs]
    if said.HasField("response_delete_range"):
        return int(said.response_delete_range.deleted)
    return None
