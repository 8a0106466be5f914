"""Which names of ours a request may use, and whether it may come in clear text."""

from collections.abc import Sequence
from typing import Any

from megahertz.errors import BadSettings, HTTPError
from megahertz.http.request import Request
from megahertz.http.response import RedirectResponse
from megahertz.types import Handler


class TrustedHosts:
    """A layer that refuses a Host that is not ours (400): `TrustedHosts(["shop.example"])`.

    What builds addresses from `request.url` (mails, redirects) can then be led nowhere else.

    Args:
        allowed: names without ports, in any case; `*.shop.example` is every name below it.

    Raises:
        BadSettings: no name, one with a port or a scheme, or a star in another place.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        names = [] if isinstance(allowed, str) else [name.lower() for name in allowed]
        if not names:
            raise BadSettings(f"TrustedHosts({allowed!r}): a list of names")
        for name in names:
            bare = name.removeprefix("*.")
            if not bare or any(mark in bare for mark in "*/@ ") or _bare(bare) != bare:
                raise BadSettings(f"TrustedHosts({name!r}): a name without scheme and port")
        self._names = frozenset(name for name in names if not name.startswith("*."))
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))

    def __call__(self, handler: Handler) -> Handler:
        """The handler behind this layer."""

        async def trusted(request: Request) -> Any:
            host = _bare((request.headers.get("host") or "").lower())
            if host not in self._names and not host.endswith(self._suffixes or ("\0",)):
                raise HTTPError(400, "the Host is not one of this service")
            return await handler(request)

        return trusted


class HTTPSRedirect:
    """A layer that sends who comes in clear text to https (308, which keeps method and body).

    Where a proxy ends TLS, it is the proxy that has to redirect.

    Args:
        port: of https, where that is not 443.
    """

    def __init__(self, *, port: int = 443) -> None:
        self._port = "" if port == 443 else f":{port}"

    def __call__(self, handler: Handler) -> Handler:
        """The handler behind this layer."""

        async def secure(request: Request) -> Any:
            exchange = request._exchange
            if exchange.secure:
                return await handler(request)
            if exchange.websocket:
                raise HTTPError(403, "use wss")
            host = _bare(request.headers.get("host") or "")
            if not host:
                raise HTTPError(400, "no Host to send you to")
            url = f"https://{host}{self._port}{exchange.raw_path.decode('latin-1')}"
            query = exchange.query.decode("latin-1")
            return RedirectResponse(f"{url}?{query}" if query else url, 308)

        return secure


def _bare(host: str) -> str:
    """Without the port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
