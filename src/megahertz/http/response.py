"""Answers by Starlette's names; each is a native answer, rendered once."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Self, cast
from urllib.parse import quote

from megahertz.engine import Answer
from megahertz.http import cookies
from megahertz.http.cookies import SameSite
from megahertz.http.encode import encode
from megahertz.http.fields import AnswerHeaders

HeaderInput = Mapping[str, str] | Iterable[tuple[str, str]]


class Response(Answer):
    """An answer whose body is known: bytes, str or nothing.

    One that does not change may be made once and returned by every request:

        OK = Response(b"ok", media_type="text/plain")

    Args:
        content: the body; see `render` for what a subclass accepts.
        status_code: 200 to 599.
        headers: header fields to send; content-length and date are the engine's.
        media_type: content-type; the class's own where None.
    """

    __slots__ = ()
    media_type: ClassVar[str | None] = None

    def __new__(
        cls,
        content: Any = None,
        status_code: int = 200,
        headers: HeaderInput | None = None,
        media_type: str | None = None,
    ) -> Self:
        kind = cls.media_type if media_type is None else media_type
        return cast("Self", super().__new__(cls, cls.render(content), status_code, headers, kind))

    @classmethod
    def render(cls, content: Any) -> bytes | str | None:
        """The body made of `content`; subclasses say how."""
        return content  # type: ignore[no-any-return]

    @property
    def headers(self) -> AnswerHeaders:
        """The header fields; changes are sent."""
        return AnswerHeaders(self)

    def set_cookie(
        self,
        key: str,
        value: str = "",
        *,
        max_age: int | None = None,
        expires: datetime | str | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: SameSite | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Adds a set-cookie field (RFC 6265 section 4.1).

        Raises:
            LocalProtocolError: browsers would not store it, such as `samesite="none"` or a
                `__Host-` name without `secure=True`.
        """
        text = cookies.render(
            key,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )
        self.headers.append("set-cookie", text)

    def delete_cookie(
        self,
        key: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: SameSite | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Asks the client to forget a cookie; the attributes are those that it was set with."""
        self.set_cookie(
            key,
            max_age=0,
            expires="Thu, 01 Jan 1970 00:00:00 GMT",
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )


class PlainTextResponse(Response):
    """text/plain."""

    __slots__ = ()
    media_type = "text/plain"


class HTMLResponse(Response):
    """text/html."""

    __slots__ = ()
    media_type = "text/html"


class JSONResponse(Response):
    """JSON of anything that a handler may return."""

    __slots__ = ()
    media_type = "application/json"

    @classmethod
    def render(cls, content: Any) -> bytes:
        """By msgspec."""
        return encode(content)


class RedirectResponse(Response):
    """Sends the client elsewhere: 307 keeps method and body, 303 makes it a GET."""

    __slots__ = ()

    def __new__(
        cls, url: object, status_code: int = 307, headers: HeaderInput | None = None
    ) -> Self:
        fields = list(headers.items() if isinstance(headers, Mapping) else headers or ())
        location = quote(str(url), safe=":/%#?=@[]!$&'()*+,;")
        return super().__new__(cls, None, status_code, [*fields, ("location", location)])


def answer_of(value: object, status: int = 200) -> Response | Answer:
    """What the engine makes of a handler's value, for those who stand in between."""
    if isinstance(value, Answer):
        return value
    if value is None:
        return Response(status_code=204)
    if isinstance(value, str):
        return PlainTextResponse(value, status)
    if isinstance(value, bytes):
        return Response(value, status, media_type="application/octet-stream")
    return JSONResponse(value, status)


def copied(answer: Answer) -> Response:
    """Another with the same status, fields and body: a handler may give one answer every time,
    and whoever changes that changes it for all."""
    made = Response(answer.body, answer.status_code)
    made.raw_headers = answer.raw_headers
    pieces = answer.pieces
    if pieces is not None:
        fd = next((piece[0] for piece in pieces if not isinstance(piece, bytes)), 0)
        parts = [piece if isinstance(piece, bytes) else piece[1:] for piece in pieces]
        made.attach(fd, parts)
    return made
