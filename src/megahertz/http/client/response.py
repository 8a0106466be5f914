"""What came back, by httpx's names; nothing of it is made before somebody asks for it."""

import asyncio
import codecs
import time
from collections.abc import AsyncIterator, Callable, Sequence
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, TypeVar, overload

import msgspec

from megahertz.errors import AnswerTooLarge, BadAnswer, DeadlineExceeded, Misused, StatusError
from megahertz.http.client.decoding import decoded, decoder_of
from megahertz.http.client.jar import Cookies
from megahertz.http.client.split import Lines
from megahertz.http.client.transport import Came
from megahertz.http.decode import decoder
from megahertz.http.fields import Headers
from megahertz.http.url import URL

T = TypeVar("T")

REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
"""That say where else to ask (RFC 9110 section 15.4)."""

_KINDS: Final = 128
"""Types whose decoder is kept."""

_decoder = lru_cache(_KINDS)(decoder)
_anything = decoder(Any)


def retry_after(answer: Came) -> float | None:
    """Seconds that an answer asks to wait (RFC 9110 section 10.2.3); None: it does not say."""
    told = answer.header("retry-after")
    if told is None:
        return None
    if told.isascii() and told.isdigit():
        return float(told)
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


@lru_cache(_KINDS)
def _charset(kind: str | None) -> str | None:
    """That a Content-Type names and Python can read texts by."""
    if kind is None or "charset" not in kind.lower():
        return None
    message = Message()
    message["content-type"] = kind
    told = message.get_content_charset()
    try:
        # Codecs of octets (base64), and those that replace nothing (idna), are none of texts.
        b"a".decode(told or "utf-8", "replace")
        return None if told is None else codecs.lookup(told).name
    except (LookupError, ValueError):
        return None


class ClientResponse:
    """An answer, whole.

    Attributes:
        status_code: of the answer.
        history: the redirects that led here, the first one first.
        silence: seconds that a stream waits for its next piece; None: for ever.
    """

    __slots__ = (
        "_answer",
        "_content",
        "_encoding",
        "_method",
        "_most",
        "_url",
        "history",
        "silence",
        "status_code",
    )

    def __init__(self, answer: Came, method: str, url: str, most: int) -> None:
        self._answer, self._method, self._url, self._most = answer, method, url, most
        self.status_code = answer.status
        self.history: Sequence[ClientResponse] = ()
        self.silence: float | None = None
        self._content: bytes | None = None
        self._encoding: str | None = None

    @property
    def came(self) -> Came:
        """What it is made of."""
        return self._answer

    @property
    def reason_phrase(self) -> str:
        """As it came; HTTP/2 has none."""
        return self._answer.reason

    @property
    def http_version(self) -> str:
        """`HTTP/1.1` or `HTTP/2`."""
        return self._answer.http_version

    @property
    def url(self) -> URL:
        """That was asked, behind redirects the last one; without name and password."""
        return URL(self._url)

    @property
    def headers(self) -> Headers:
        """By name, whatever its case; `getlist` has all of a name."""
        fields = self._answer.headers
        return Headers(
            [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        )

    @property
    def trailers(self) -> list[tuple[str, str]]:
        """Fields behind the body."""
        return self._answer.trailers

    @property
    def cookies(self) -> Cookies:
        """That this answer sets."""
        found = Cookies()
        found.read(self._url, self._answer.headers)
        return found

    @property
    def content(self) -> bytes:
        """The body, without its content coding.

        Raises:
            BadAnswer: it is broken.
            AnswerTooLarge: it is larger than `Client(body_bytes=)` allows.
        """
        if self._content is None:
            codings = self._field("content-encoding")
            body = self._body()
            self._content = body if codings is None else decoded(body, codings, self._most)
        return self._content

    def _body(self) -> bytes:
        return self._answer.body

    @property
    def encoding(self) -> str:
        """Of the text: what was set here, what Content-Type says, or UTF-8."""
        return self._encoding or _charset(self._field("content-type")) or "utf-8"

    @encoding.setter
    def encoding(self, value: str) -> None:
        self._encoding = value

    @property
    def text(self) -> str:
        """The body as text; octets that are none become U+FFFD."""
        return self.content.decode(self.encoding, "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            BadAnswer: it is none.
        """
        return self._decoded(_anything)

    @overload
    def decode(self, kind: type[T]) -> T: ...
    @overload
    def decode(self, kind: Any) -> Any: ...
    def decode(self, kind: Any) -> Any:
        """The JSON body as a Struct, a dataclass, `list[Order]`, a pydantic model.

        Raises:
            BadAnswer: it is no JSON, or not of that type; the message says where and whose.
        """
        if hasattr(kind, "model_validate_json"):
            try:
                return kind.model_validate_json(self.content)
            except ValueError as error:
                raise BadAnswer(f"{self._said()}: {error}") from error
        return self._decoded(_decoder(kind))

    def _decoded(self, decode: Callable[[bytes], Any]) -> Any:
        try:
            return decode(self._utf8())
        except msgspec.ValidationError as error:
            raise BadAnswer(f"{self._said()}: not the agreed body: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            kind = self._field("content-type") or "no content-type"
            raise BadAnswer(f"{self._said()}: no JSON ({kind}): {error}") from error

    def _utf8(self) -> bytes:
        """JSON is UTF-8 (RFC 8259 section 8.1), but for who says otherwise."""
        told = self.encoding
        return self.content if told == "utf-8" else self.content.decode(told).encode()

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status_code < 300

    @property
    def is_error(self) -> bool:
        """4xx and 5xx."""
        return self.status_code >= 400

    @property
    def is_redirect(self) -> bool:
        """Whether it says where else to ask."""
        return self.status_code in REDIRECTS and self._field("location") is not None

    def raise_for_status(self) -> "ClientResponse":
        """Itself, where it is 2xx or 3xx.

        Raises:
            StatusError: 4xx or 5xx.
        """
        if self.status_code < 400:
            return self
        error = StatusError(self._said(), status_code=self.status_code, response=self)
        error.retry_after = retry_after(self._answer)
        raise error

    def _said(self) -> str:
        try:
            phrase = HTTPStatus(self.status_code).phrase
        except ValueError:
            phrase = self.reason_phrase
        # Without the query, which may have secrets.
        where = self._url.partition("?")[0].partition("#")[0]
        return f"{self._method} {where} was answered {self.status_code} {phrase}".rstrip()

    def _field(self, name: str) -> str | None:
        return self._answer.header(name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status_code}]>"


class StreamedResponse(ClientResponse):
    """An answer whose body is on its way: `async with client.stream(...) as response`."""

    __slots__ = ("_taken",)

    def __init__(self, answer: Came, method: str, url: str, most: int) -> None:
        super().__init__(answer, method, url, most)
        self._taken = False

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        """The body as it comes, in its content coding.

        Raises:
            Misused: it was read already.
            DeadlineExceeded: nothing came for `silence` seconds.
            ReadError: it does not come to its end.
        """
        if self._taken:
            raise Misused("the body of a streamed response is read once")
        self._taken = True
        pieces = aiter(self._answer)
        while (piece := await self._next(pieces)) is not None:
            yield piece

    async def _next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self.silence) as limit:
                return await anext(pieces)
        except StopAsyncIteration:
            return None
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise DeadlineExceeded(f"{self._said()}: {self.silence:g} s of silence") from error

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body in pieces of whatever size, without its content coding.

        Raises:
            BadAnswer: it is broken.
            others: as `aiter_raw`.
        """
        if self._content is not None:
            yield self._content
            return
        codings = self._field("content-encoding")
        decoder = None if codings is None else decoder_of(codings)
        if decoder is None:
            async for piece in self.aiter_raw():
                yield piece
            return
        async for piece in self.aiter_raw():
            for part in decoder.feed(piece):
                yield part
        if not decoder.whole():
            raise BadAnswer(f"{self._said()}: a body in {codings} that ends before its end")

    async def aiter_text(self) -> AsyncIterator[str]:
        """The body as text, in pieces."""
        decoder = codecs.getincrementaldecoder(self.encoding)("replace")
        async for piece in self.aiter_bytes():
            if text := decoder.decode(piece):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text

    async def aiter_lines(self) -> AsyncIterator[str]:
        """The lines of the body, without their ends; a line is at most `body_bytes` long.

        Raises:
            AnswerTooLarge: a line is longer.
        """
        found = Lines(self._most)
        async for text in self.aiter_text():
            for line in found.feed(text):
                yield line
        for line in found.end():
            yield line

    async def aread(self) -> bytes:
        """The whole body; `content`, `text`, `json()` and `decode()` have it then.

        Raises:
            AnswerTooLarge: it is larger than `Client(body_bytes=)` allows.
        """
        if self._content is None:
            pieces, size = [], 0
            async for piece in self.aiter_bytes():
                size += len(piece)
                if size > self._most:
                    raise AnswerTooLarge(f"{self._said()}: a body of more than {self._most} bytes")
                pieces.append(piece)
            self._content = b"".join(pieces)
        return self._content

    async def aclose(self) -> None:
        """Gives the connection back, or closes it where more of the body is on its way."""
        await self._answer.aclose()

    def _body(self) -> bytes:
        raise Misused("the body of a streamed response: await response.aread() first")
