"""The header fields of a request: checked, and one list over another."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from megahertz.errors import LocalProtocolError

Lines = list[tuple[str, str]]
"""Names in lower case, in order."""

FieldTypes = Mapping[str, str] | Iterable[tuple[str, str]]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2, token."""

_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""RFC 9110 section 5.5: no CR, LF or NUL, which would begin another field, and latin-1 alone."""

_HOST = re.compile(r"[0-9A-Za-z._~\-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")
"""RFC 9112 section 3.2: one, and nothing that two servers could read in two ways."""

_METHOD = _NAME
_KEPT: Final = 256


def lines(fields: FieldTypes | None) -> Lines:
    """Checked, names in lower case.

    Raises:
        LocalProtocolError: what would not be one field on the wire.
    """
    if fields is None:
        return []
    items = fields.items() if isinstance(fields, Mapping) else fields
    found = [line(name, value) for name, value in items]
    hosts = [value for name, value in found if name == "host"]
    if len(hosts) > 1 or not all(map(_HOST.fullmatch, hosts)):
        raise LocalProtocolError(f"the field host: one host expected, not {hosts!r:.100}")
    return found


def line(name: str, value: str) -> tuple[str, str]:
    """One field.

    Raises:
        LocalProtocolError: it would not be one on the wire.
    """
    known = _name(name)
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise LocalProtocolError(
            f"the field {known}: a text of latin-1 without line breaks expected, "
            f"not {type(value).__name__ if not isinstance(value, str) else value[:50]!r}"
        )
    return known, value.strip(" \t")


@lru_cache(_KEPT)
def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise LocalProtocolError(f"{name[:50]!r} is no name of a header field")
    return name.lower()


@lru_cache(_KEPT)
def method_of(name: str) -> str:
    """In upper case, as httpx has it.

    Raises:
        LocalProtocolError: no method at all.
    """
    if not _METHOD.fullmatch(name):
        raise LocalProtocolError(f"{name[:50]!r} is no method")
    return name.upper()


def over(fields: Lines, default: Lines) -> Lines:
    """`default`, but for the names that `fields` has; then `fields`."""
    if not fields:
        return list(default)
    own = {name for name, _ in fields}
    return [pair for pair in default if pair[0] not in own] + fields


def without(fields: Lines, names: frozenset[str]) -> Lines:
    """Those of other names."""
    return [pair for pair in fields if pair[0] not in names]


def value_of(fields: Iterable[tuple[str, str]], name: str) -> str | None:
    """The first of a name."""
    return next((value for key, value in fields if key == name), None)
