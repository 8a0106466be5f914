"""Which pages of other origins may read our answers (CORS, the Fetch standard).

Theory: a browser keeps an answer from a page of another origin unless the answer says that this
origin may read it; and before a request that a form could not make it asks first (a preflight).
So whoever forgets a header on an error answer has pages that see "network error" instead of 422.
Here an application's `CORS` is on every answer of its handlers, on errors that nobody foresaw, on
deadlines, limits, 404 and 405; and preflights are answered by routes of their own, without the
handler, its dependencies and its limits.

Rules: nothing is allowed that is not named. `*` is refused together with credentials, where
browsers would refuse it too, and where echoing the origin instead (a common mistake) lets every
page read what its visitor may. What depends on the origin says so (Vary), so that no cache gives
one origin's answer to another.
"""

import re
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from megahertz.engine import Answer
from megahertz.errors import BadSettings, HTTPError
from megahertz.http.problems import problem
from megahertz.http.request import Request
from megahertz.http.response import Response
from megahertz.types import Handler

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[^/?#\s@:A-Z]+)(:\d+)?|null")
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

SAFELISTED = frozenset({"accept", "accept-language", "content-language", "content-type"})
"""Header fields that a page may send unasked (Fetch section 2.2.2), and so after a preflight."""

OURS = (
    b"access-control-allow-origin",
    b"access-control-allow-credentials",
    b"access-control-expose-headers",
)

MAX_AGE = 600
"""Seconds that a preflight's answer is kept (Starlette: 600; Chromium at most 7,200)."""


@runtime_checkable
class Dresser(Protocol):
    """A layer that has something to add to answers that layers do not see."""

    def dress(self, request: Request, answer: Answer) -> None:
        """Adds it; again it changes nothing."""
        ...

    def preflight(self, request: Request) -> Answer | None:
        """The answer to a preflight; None where the request is none."""
        ...


class CORS:
    """A layer: `App(layers=[CORS(["https://shop.example"])])`.

    On an application it is on every answer to a request that was understood; on a router, on what
    its handlers answer.

    Args:
        allow_origins: `https://shop.example`, as browsers spell them, or `*` for all.
        allow_origin_regex: the whole origin has to match it.
        allow_methods: those that a page may use; `*` for all.
        allow_headers: request header fields that a page may set, beside the safelisted ones; `*`
            for all.
        allow_credentials: with cookies and HTTP authentication.
        expose_headers: answer header fields that a page may read, beside the safelisted ones.
        max_age: seconds that a browser may keep the answer to a preflight.

    Raises:
        BadSettings: nothing is allowed, an origin is none, or `*` goes with credentials.
    """

    def __init__(
        self,
        allow_origins: Sequence[str] = (),
        *,
        allow_origin_regex: str | None = None,
        allow_methods: Sequence[str] = ("GET", "HEAD", "POST"),
        allow_headers: Sequence[str] = (),
        allow_credentials: bool = False,
        expose_headers: Sequence[str] = (),
        max_age: int = MAX_AGE,
    ) -> None:
        self._origins = frozenset(_list("allow_origins", allow_origins))
        self._all = "*" in self._origins
        self._regex = None if allow_origin_regex is None else _compiled(allow_origin_regex)
        self._methods = frozenset(_list("allow_methods", allow_methods))
        headers = _list("allow_headers", allow_headers)
        self._headers = frozenset(name.lower() for name in headers) | SAFELISTED
        exposed = _list("expose_headers", expose_headers)
        self._credentials = allow_credentials
        self._check(exposed)
        self._fixed: list[tuple[bytes, bytes]] = []
        if allow_credentials:
            self._fixed.append((b"access-control-allow-credentials", b"true"))
        if exposed:
            self._fixed.append((b"access-control-expose-headers", ", ".join(exposed).encode()))
        self._max_age = str(max_age)

    def _check(self, exposed: Sequence[str]) -> None:
        if not self._origins and self._regex is None:
            raise BadSettings('CORS(): allows nobody; name origins, such as "https://shop.example"')
        for origin in self._origins - {"*"}:
            if not _ORIGIN.fullmatch(origin):
                raise BadSettings(
                    f"CORS(allow_origins={origin!r}): scheme, host and port in lower case, and no "
                    f"path, no slash at the end"
                )
        for name in [*self._methods, *self._headers, *exposed]:
            if not _METHOD.fullmatch(name):
                raise BadSettings(f"CORS(): {name!r} is neither a method nor a header field")
        stars = {
            "allow_origins": self._all,
            "allow_methods": "*" in self._methods,
            "allow_headers": "*" in self._headers,
            "expose_headers": "*" in exposed,
        }
        for name, star in stars.items():
            if star and self._credentials:
                raise BadSettings(
                    f'CORS({name}=["*"], allow_credentials=True): with credentials every one is '
                    f"named, or all pages could do what their visitors may"
                )

    def __call__(self, handler: Handler) -> Handler:
        """The handler behind this layer."""

        async def shared(request: Request) -> Any:
            if request._exchange.websocket:  # of which browsers only send the origin
                return await handler(request)
            answer = self.preflight(request) or await handler(request)
            if isinstance(answer, Answer):
                self.dress(request, answer)
            return answer

        return shared

    def allows(self, origin: str) -> bool:
        """Whether a page of that origin may read answers."""
        if self._all or origin in self._origins:
            return True
        return self._regex is not None and self._regex.fullmatch(origin) is not None

    def dress(self, request: Request, answer: Answer) -> None:
        """Puts on the answer what its origin may see of it; what it says of that is replaced."""
        origin = _field(request, "origin")
        fields = [item for item in answer.raw_headers if item[0] not in OURS]
        if not (self._all and not self._credentials):
            fields = varying(fields, "origin")
        if origin is not None and self.allows(origin):
            shown = b"*" if self._all else origin.encode("latin-1")
            fields += [(b"access-control-allow-origin", shown), *self._fixed]
        answer.raw_headers = fields

    def preflight(self, request: Request) -> Answer | None:
        """The answer to a preflight; None where the request is none.

        What is not allowed is 403, with the reason for whoever looks into the network tab.
        """
        origin, method = _field(request, "origin"), _field(request, "access-control-request-method")
        if request.method != "OPTIONS" or origin is None or method is None:
            return None
        asked = _field(request, "access-control-request-headers") or ""
        names = [name.strip().lower() for name in asked.split(",") if name.strip()]
        wrong = self._wrong(origin, method, names)
        answer = Response(None, 204) if wrong is None else problem(HTTPError(403, f"CORS: {wrong}"))
        asks = ("access-control-request-method", "access-control-request-headers")
        fields = varying(answer.raw_headers, *asks)
        if wrong is None:
            fields.append((b"access-control-allow-methods", method.encode("latin-1")))
            if names:
                fields.append((b"access-control-allow-headers", ", ".join(names).encode("latin-1")))
            fields.append((b"access-control-max-age", self._max_age.encode()))
        answer.raw_headers = fields
        self.dress(request, answer)
        return answer

    def _wrong(self, origin: str, method: str, names: Sequence[str]) -> str | None:
        if not self.allows(origin):
            return f"the origin {origin} is not allowed"
        if method not in self._methods and "*" not in self._methods:
            return f"the method {method} is not allowed"
        if "*" not in self._headers:
            for name in names:
                if name not in self._headers:
                    return f"the header field {name} is not allowed"
        return None


def varying(fields: Sequence[tuple[bytes, bytes]], *names: str) -> list[tuple[bytes, bytes]]:
    """The fields, with `names` in Vary (RFC 9110 section 12.5.5)."""
    known = [
        item.strip().decode("latin-1").lower()
        for name, value in fields
        if name == b"vary"
        for item in value.split(b",")
    ]
    missing = [name for name in names if name not in known]
    if not missing or "*" in known:
        return list(fields)
    return [*fields, (b"vary", ", ".join(missing).encode())]


def _field(request: Any, name: str) -> str | None:
    return request._exchange.header(name)  # type: ignore[no-any-return]


def _list(name: str, given: Sequence[str]) -> list[str]:
    if isinstance(given, str):
        raise BadSettings(f"CORS({name}={given!r}): a list of them")
    return list(given)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise BadSettings(f"CORS(allow_origin_regex={pattern!r}): {error}") from error
