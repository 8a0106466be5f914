"""Where a URL leads: whom to connect to, and what to ask there.

Rules: two readers of a URL must not understand different hosts, so what they could is refused: a
control character, a backslash in the authority, a host that ends in a number and is no IPv4 address
(WHATWG URL, "ends in a number"), a port of 0. What is safe but not allowed in a path or a query is
percent-encoded by UTF-8, what is encoded already stays (WHATWG's percent-encode sets, as in httpx);
`.` and `..` are resolved (RFC 3986 section 5.2.4), also where they are
encoded. Names beyond ASCII are IDNA 2008, by `idna`.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urljoin

import idna

from megahertz.engine import Origin
from megahertz.errors import LocalProtocolError

LONGEST: Final = 64 * 1024
"""Characters of a URL (httpx: 65,536; servers take some 8,000)."""

KEPT: Final = 1024
"""URLs, and authorities, that are not taken apart again."""

KEPT_LONGEST: Final = 1024
"""Characters of a URL that is kept: with their number it bounds the memory to some MiB."""

PORTS: Final = {"http": 80, "https": 443}

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#\\]*)([^?#]*)(\?[^#]*)?(?:#(.*))?")
_NAME = re.compile(r"[a-z0-9_~.\-]+")
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,;=:@%\-]+(?:\.[A-Za-z0-9_~%\-]+)*)*/?")
"""A path without dot segments, and with nothing to encode."""
_DOT = re.compile(r"%2[eE]")
_PLAIN_QUERY = re.compile(r"[A-Za-z0-9_~!$&()*+,;=:@%\-./?]*")

_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_QUERY = "".join(set(_VISIBLE) - set('"#<>'))
_PATH = "".join(set(_QUERY) - set("?`{}\\"))
_FRAGMENT = "".join(set(_VISIBLE) - set('"<>`'))


@dataclass(frozen=True, slots=True)
class Location:
    """A URL taken apart.

    Attributes:
        url: the whole, normalised; without name and password.
        origin: whom to connect to.
        authority: host and port as requests name them: without a port that is the scheme's.
        target: path and query.
        basic: an Authorization of the name and the password that the URL had.
    """

    url: str
    origin: Origin
    authority: str
    target: str
    basic: str | None = None


def locate(url: str) -> Location:
    """Takes an absolute URL apart.

    Raises:
        LocalProtocolError: it is none, or could be understood in two ways; the message says why.
    """
    return _kept(url) if len(url) <= KEPT_LONGEST else _parse(url)


def is_absolute(url: str) -> bool:
    """Whether it names its scheme."""
    return _ABSOLUTE.match(url) is not None


def joined(base: str, reference: str) -> Location:
    """Where a reference (a Location) leads, as seen from `base` (RFC 3986 section 5.2).

    The fragment of `base` stays, unless the reference has one (RFC 9110 section 10.2.2).

    Raises:
        LocalProtocolError: nowhere.
    """
    _checked(reference)
    try:
        url = urljoin(base, reference)
    except ValueError as error:
        raise _bad(reference, str(error)) from None
    if "#" not in reference and "#" in base:
        url += base[base.index("#") :]
    return locate(url)


def _parse(url: str) -> Location:
    _checked(url)
    found = _PARTS.fullmatch(url)
    if found is None:
        raise _bad(url, "http://host/path expected")
    scheme, authority, path, query, fragment = found.groups()
    origin, host, basic = _authority(scheme.lower(), authority)
    target = _path(path, url)
    if query is not None:
        target += query if _PLAIN_QUERY.fullmatch(query) else _quoted(query, _QUERY, url)
    whole = f"{origin.scheme}://{host}{target}"
    if fragment is not None:
        whole += f"#{_quoted(fragment, _FRAGMENT, url)}"
    return Location(whole, origin, host, target, basic)


_kept = lru_cache(KEPT)(_parse)


def _checked(url: str) -> None:
    if len(url) > LONGEST:
        raise _bad(url, f"longer than {LONGEST} characters")
    found = _CONTROL.search(url)
    if found is not None:
        raise _bad(url, f"the character {found[0]!r} at {found.start()}")


@lru_cache(KEPT)
def _authority(scheme: str, authority: str) -> tuple[Origin, str, str | None]:
    """Whom to connect to, the authority that requests name, and credentials."""
    if scheme not in ("http", "https"):
        raise _bad(f"{scheme}:", "http or https expected")
    userinfo, at, rest = authority.rpartition("@")
    host, told = _port_apart(rest)
    port = PORTS[scheme]
    if told:
        if not _PORT.fullmatch(told) or not 0 < int(told) < 65536:
            raise _bad(rest, f"the port {told[:10]!r}: 1 to 65535 expected")
        port = int(told)
    host = _host(host, rest)
    shown = f"[{host}]" if ":" in host else host
    if port != PORTS[scheme]:
        shown += f":{port}"
    return Origin(scheme, host, port), shown, _basic(userinfo) if at else None  # type: ignore[arg-type] # one of two


def _port_apart(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        if not bracket or rest[:1] not in ("", ":"):
            raise _bad(text, "an IPv6 address in brackets expected")
        return host + bracket, rest[1:]
    host, _, port = text.partition(":")
    return host, port


def _host(text: str, whole: str) -> str:
    """In lower case, or an address without its brackets."""
    if text.startswith("["):
        try:
            address = IPv6Address(text[1:-1])
        except AddressValueError:
            raise _bad(whole, "an IPv6 address expected") from None
        if address.scope_id is not None:  # RFC 6874; WHATWG has none
            raise _bad(whole, "an IPv6 address without a zone expected")
        return str(address)
    host = text.lower()
    if not host.isascii() or "xn--" in host:
        try:
            host = idna.encode(host).decode("ascii")
        except idna.IDNAError as error:
            raise _bad(whole, f"no internationalised name: {error}") from None
    if not _NAME.fullmatch(host) or host == ".":
        raise _bad(whole, "a host expected")
    if _NUMBER.fullmatch(host):
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            raise _bad(whole, "a name does not end in a number; an IPv4 address has four") from None
    return host


def _basic(userinfo: str) -> str | None:
    """RFC 7617, of what stood before the @."""
    name, _, password = userinfo.partition(":")
    octets = unquote_to_bytes(name) + b":" + unquote_to_bytes(password)
    return f"Basic {b64encode(octets).decode()}" if userinfo else None


def _path(path: str, url: str) -> str:
    if _PLAIN.fullmatch(path) and not _DOT.search(path):
        return path or "/"
    if path and not path.startswith("/"):
        raise _bad(url, "a path begins with a slash")
    return _quoted(_resolved(path), _PATH, url) or "/"


def _resolved(path: str) -> str:
    """Without dot segments (RFC 3986 section 5.2.4), encoded or not, as WHATWG has it."""
    kept: list[str] = []
    segments = path.split("/")
    for at, told in enumerate(segments):
        segment = _DOT.sub(".", told)
        if segment not in (".", ".."):
            segment = told
        segments[at] = segment
        if segment == "..":
            if len(kept) > 1:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept) if len(kept) > 1 else "/"


def _quoted(text: str, safe: str, url: str) -> str:
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError:
        raise _bad(url, "half of a surrogate pair") from None


def _bad(url: str, why: str) -> LocalProtocolError:
    # Without what may be a password or a token.
    shown = re.sub(r"//[^/?#]*@", "//***@", url[:100].partition("?")[0])
    return LocalProtocolError(f"{shown!r} is no URL to ask: {why}")
