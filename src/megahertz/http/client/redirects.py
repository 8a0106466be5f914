"""Where a redirect leads, and what of the request goes there (RFC 9110 section 15.4)."""

from typing import Final

from megahertz.errors import BadAnswer, LocalProtocolError
from megahertz.http.client.call import Call
from megahertz.http.client.content import NOTHING
from megahertz.http.client.lines import without
from megahertz.http.client.location import Location, joined

MOST: Final = 20
"""Redirects of a call (httpx and Fetch: 20; curl: 50, Go: 10)."""

_ITS_BODY = frozenset(("content-length", "content-type", "content-encoding", "transfer-encoding"))
_SECRET = frozenset(("authorization", "proxy-authorization", "cookie", "host"))
_OLD = frozenset(("cookie", "host"))


def redirected(call: Call, status: int, location: str) -> Call:
    """The request that follows.

    Raises:
        BadAnswer: it leads nowhere, or the body cannot be sent again.
    """
    try:
        place = joined(call.place.url, _text(location))
    except LocalProtocolError as error:
        raise BadAnswer(f"{call.place.authority} redirects to {error}") from error
    method = _method(call.method, status)
    content, fields = call.content, call.fields
    if method != call.method:
        content, fields = NOTHING, without(fields, _ITS_BODY)
    elif not content.again:
        raise BadAnswer(
            f"{call.place.authority} redirects a {method} whose body was read already: "
            "bytes, or a file that can be set back, can be sent again"
        )
    stranger = call.stranger or not _is_trusted(call.place, place)
    fields = without(fields, _SECRET if stranger else _OLD)
    return Call(method, place, fields, content, None if stranger else call.cookies, stranger)


def _method(method: str, status: int) -> str:
    """303 asks for a GET; 301 and 302 turn a POST into one, as everybody does (15.4.2, 15.4.3)."""
    if status == 303 and method != "HEAD":
        return "GET"
    return "GET" if status in (301, 302) and method == "POST" else method


def _is_trusted(before: Location, after: Location) -> bool:
    """Whether credentials go along: to the same origin, or to the same host by TLS instead."""
    if before.origin == after.origin:
        return True
    one, other = before.origin, after.origin
    default = (one.scheme, one.port, other.scheme, other.port) == ("http", 80, "https", 443)
    return default and one.host == other.host


def _text(location: str) -> str:
    """UTF-8, where a server has sent that in place of percent signs."""
    try:
        return location.encode("latin-1").decode()
    except UnicodeError:
        return location
