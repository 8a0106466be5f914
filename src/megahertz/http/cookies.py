"""Cookies (RFC 6265, and its draft successor for prefixes and `Partitioned`).

Theory: what a browser refuses to store, it refuses without a word; so it is refused here, where
somebody reads it. What comes in is read as leniently as the RFC says and no more: a name is a
token, and the first of a name counts, as browsers send the most specific one first.

Values that a cookie cannot hold are quoted with octal escapes, as Python's `http.cookies` does
and undoes; Starlette and Django use that too.
"""

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Literal

from megahertz.errors import LocalProtocolError
from megahertz.http.fields import Raw

SameSite = Literal["lax", "strict", "none"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 section 5.6.2."""

_PLAIN = re.compile(r"[!#-+\--:<-\[\]-~]*")
"""RFC 6265 section 4.1.1, cookie-octet."""

_ESCAPED = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))")

_ATTRIBUTE = re.compile(r"[\x20-:<-~]*")
"""What an attribute's value may have: printable, and no semicolon."""


def parse(headers: Raw) -> dict[str, str]:
    """Every cookie of a request; the first of a name counts (RFC 6265 section 5.4)."""
    found: dict[str, str] = {}
    for field, value in headers:
        if field == b"cookie":
            for item in value.decode("latin-1").split(";"):
                name, equals, text = item.partition("=")
                name = name.strip(" \t")
                if equals and name not in found and _TOKEN.fullmatch(name):
                    found[name] = _unquoted(text.strip(" \t"))
    return found


def render(
    name: str,
    value: str,
    *,
    max_age: int | None,
    expires: datetime | str | None,
    path: str | None,
    domain: str | None,
    secure: bool,
    httponly: bool,
    samesite: SameSite | None,
    partitioned: bool,
) -> str:
    """The value of a set-cookie field.

    Raises:
        LocalProtocolError: browsers would not store it; the message says which rule.
    """
    _check(name, secure, path, domain, samesite, partitioned)
    moment = format_datetime(expires.astimezone(UTC), usegmt=True) if isinstance(
        expires, datetime) else expires  # fmt: skip
    parts = [f"{name}={_quoted(name, value)}"]
    for attribute, text in (
        ("Domain", domain),
        ("Expires", moment),
        ("Max-Age", None if max_age is None else str(max_age)),
        ("Path", path),
        ("SameSite", None if samesite is None else samesite.capitalize()),
    ):
        if text is not None:
            if not _ATTRIBUTE.fullmatch(text):
                raise LocalProtocolError(f"cookie {name}: {attribute}={text!r} cannot be sent")
            parts.append(f"{attribute}={text}")
    flags = {"HttpOnly": httponly, "Secure": secure, "Partitioned": partitioned}
    return "; ".join([*parts, *(flag for flag, on in flags.items() if on)])


def _check(
    name: str,
    secure: bool,
    path: str | None,
    domain: str | None,
    samesite: SameSite | None,
    partitioned: bool,
) -> None:
    prefix = name.lower()
    rules = [
        (bool(_TOKEN.fullmatch(name)), "a name is a token: letters, digits, - and _"),
        (samesite in (None, "lax", "strict", "none"), "samesite is lax, strict, none or None"),
        (samesite != "none" or secure, "samesite='none' takes secure=True"),
        (not partitioned or secure, "partitioned=True takes secure=True"),
        (not prefix.startswith("__secure-") or secure, "__Secure- takes secure=True"),
        (
            not prefix.startswith("__host-") or (secure and path == "/" and domain is None),
            "__Host- takes secure=True, path='/' and no domain",
        ),
    ]
    for holds, rule in rules:
        if not holds:
            raise LocalProtocolError(f"cookie {name!r}: {rule}; browsers would not store it")


def _quoted(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    try:
        octets = value.encode("latin-1")
    except UnicodeEncodeError:
        raise LocalProtocolError(
            f"cookie {name}: a value is latin-1; encode it (urllib.parse.quote, base64)"
        ) from None
    return '"' + "".join(map(_octet, octets)) + '"'


def _octet(octet: int) -> str:
    text = chr(octet)
    if text in '"\\':
        return f"\\{text}"
    return text if _PLAIN.fullmatch(text) or text == " " else f"\\{octet:03o}"


def _unquoted(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    return _ESCAPED.sub(_unescaped, text[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    octal, plain = found.groups()
    return chr(int(octal, 8)) if octal else str(plain)
