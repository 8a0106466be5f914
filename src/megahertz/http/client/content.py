"""The body of a request: what of httpx's four ways says it, and whether it can be sent twice."""

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final
from urllib.parse import urlencode

from megahertz.errors import Misused
from megahertz.http.client.lines import Lines
from megahertz.http.client.multipart import FileTypes, Multipart
from megahertz.http.client.pieces import Pieces
from megahertz.http.encode import encode as to_json

Primitive = str | int | float | bool | None
Pairs = Mapping[str, Primitive | Sequence[Primitive]] | Sequence[tuple[str, Primitive]]
Params = Pairs | str
ContentTypes = bytes | bytearray | memoryview | str | AsyncIterable[bytes] | IO[bytes]
Files = Mapping[str, FileTypes] | Sequence[tuple[str, FileTypes]]

URLENCODED: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Content:
    """A body.

    Attributes:
        body: the bytes, or pieces of them.
        fields: that say what it is.
        again: whether it can be sent a second time.
    """

    body: bytes | AsyncIterable[bytes] | None
    fields: Lines
    again: bool = True


NOTHING: Final = Content(None, [])

EMPTY: Final = Content(b"", [])

ANTICIPATED: Final = frozenset(("POST", "PUT", "PATCH"))
"""Methods whose requests say that they have no body (RFC 9110 section 8.6: content-length: 0)."""


def content_of(
    content: ContentTypes | None, data: Pairs | None, files: Files | None, json: Any
) -> Content:
    """The body that one of them says; `data` and `files` go together.

    Raises:
        Misused: several, or one of a kind that is no body.
    """
    if (content is not None) + (json is not None) + (data is not None or bool(files)) > 1:
        raise Misused("a request has one body: content, json, or data with files")
    if json is not None:
        return Content(to_json(json), [("content-type", "application/json")])
    if files:
        form = Multipart([] if data is None else _texts(data), files)
        return Content(form.body(), form.fields, form.again)
    if data is not None:
        body = urlencode(_texts(data)).encode("ascii")
        return Content(body, [("content-type", URLENCODED)])
    return NOTHING if content is None else _plain(content)


def query_of(params: Params) -> str:
    """As a query string says it; one that is said already stays."""
    return params if isinstance(params, str) else urlencode(_texts(params))


def _texts(pairs: Pairs) -> list[tuple[str, str]]:
    if isinstance(pairs, str | bytes):
        raise Misused("data= takes the fields of a form; octets and text are content=")
    items: Iterable[tuple[str, Any]] = pairs.items() if isinstance(pairs, Mapping) else pairs
    return [(str(name), _text(each)) for name, value in items for each in _several(value)]


def _several(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple | set | frozenset) else (value,)


def _text(value: Any) -> str:
    """As httpx says it: true, false, and nothing for None."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(content: Any) -> Content:
    if isinstance(content, bytes):
        return Content(content, [])
    if isinstance(content, str):
        return Content(content.encode(), [])
    if isinstance(content, bytearray | memoryview):
        return Content(bytes(content), [])
    if isinstance(content, AsyncIterable):
        return Content(content, [], again=False)
    if hasattr(content, "read"):
        return Content(Pieces(content), [], again=False)
    raise Misused(
        f"content={type(content).__name__}: bytes, a str, an async iterable of bytes, "
        "or a binary file expected"
    )
