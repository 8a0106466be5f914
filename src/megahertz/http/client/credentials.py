"""Who asks: the Authorization of a request."""

from base64 import b64encode

from megahertz.errors import Misused
from megahertz.http.client.lines import line

AuthTypes = tuple[str, str] | str
"""A name and a password (RFC 7617), or a bearer token (RFC 6750)."""


def authorization(auth: AuthTypes) -> tuple[str, str]:
    """The field.

    Raises:
        Misused: neither a pair nor a token.
        LocalProtocolError: a token that is no field's value.
    """
    if isinstance(auth, str):
        return line("authorization", f"Bearer {auth}")
    if isinstance(auth, tuple) and len(auth) == 2:
        octets = ":".join(auth).encode()
        return "authorization", f"Basic {b64encode(octets).decode()}"
    raise Misused(f"auth={type(auth).__name__}: (name, password) or a bearer token expected")
