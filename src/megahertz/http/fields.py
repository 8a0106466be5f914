"""Header fields and query strings as the mappings that handlers read."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Protocol
from urllib.parse import unquote_plus

Raw = list[tuple[bytes, bytes]]
"""Header fields as they are on the wire: latin-1 (RFC 9110 section 5.5)."""


def pairs(query: bytes) -> list[tuple[str, str]]:
    """The fields of a query string, in order; an empty value is kept.

    As the WHATWG URL standard parses `application/x-www-form-urlencoded`: `&` alone separates.
    """
    text = query.decode("utf-8", "replace")
    found = [item.partition("=") for item in text.split("&") if item]
    if "%" not in text and "+" not in text:
        return [(name, value) for name, _, value in found]
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in found]


class Fields(Mapping[str, str]):
    """A mapping of which a name may have several values; `[name]` is the last, as in Starlette."""

    __slots__ = ("_items", "_last")

    def __init__(self, items: list[tuple[str, str]]) -> None:
        self._items = items
        self._last = dict(items)

    def __getitem__(self, name: str) -> str:
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._last)

    def __len__(self) -> int:
        return len(self._last)

    def getlist(self, name: str) -> list[str]:
        """Every value of that name, in order."""
        return [value for key, value in self._items if key == name]

    def multi_items(self) -> list[tuple[str, str]]:
        """Every field, in order."""
        return list(self._items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"


class Headers(Mapping[str, str]):
    """Header fields by name, whatever its case; `[name]` is the first, as in Starlette."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Raw) -> None:
        self._raw = raw

    @property
    def raw(self) -> Raw:
        """Every field as bytes, names in lower case; a copy."""
        return list(self._raw)

    def __getitem__(self, name: str) -> str:
        wanted = name.lower().encode("latin-1")
        for field, value in self._raw:
            if field == wanted:
                return value.decode("latin-1")
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(field.decode("latin-1") for field, _ in self._raw))

    def __len__(self) -> int:
        return len({field for field, _ in self._raw})

    def getlist(self, name: str) -> list[str]:
        """Every value of that name, in order."""
        wanted = name.lower().encode("latin-1")
        return [value.decode("latin-1") for field, value in self._raw if field == wanted]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._raw!r})"


class Headed(Protocol):
    """What has header fields that can be replaced: a native answer."""

    @property
    def raw_headers(self) -> Raw: ...

    @raw_headers.setter
    def raw_headers(self, value: Raw) -> None: ...


class AnswerHeaders(MutableMapping[str, str]):
    """The header fields of an answer; each change is written back to it."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Headed) -> None:
        self._answer = answer

    def __getitem__(self, name: str) -> str:
        return Headers(self._answer.raw_headers)[name]

    def __setitem__(self, name: str, value: str) -> None:
        self._answer.raw_headers = [*self._without(name), _field(name, value)]

    def __delitem__(self, name: str) -> None:
        self[name]  # a KeyError where there is none
        self._answer.raw_headers = self._without(name)

    def __iter__(self) -> Iterator[str]:
        return iter(Headers(self._answer.raw_headers))

    def __len__(self) -> int:
        return len(Headers(self._answer.raw_headers))

    def append(self, name: str, value: str) -> None:
        """Adds a field and leaves those of the same name (set-cookie, vary)."""
        self._answer.raw_headers = [*self._answer.raw_headers, _field(name, value)]

    def getlist(self, name: str) -> list[str]:
        """Every value of that name, in order."""
        return Headers(self._answer.raw_headers).getlist(name)

    def _without(self, name: str) -> Raw:
        gone = name.lower().encode("latin-1")
        return [item for item in self._answer.raw_headers if item[0] != gone]


def _field(name: str, value: str) -> tuple[bytes, bytes]:
    return name.lower().encode("latin-1"), value.encode("latin-1")
