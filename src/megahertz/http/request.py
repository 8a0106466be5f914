"""The request as a handler sees it; made only for handlers that ask for it."""

from collections.abc import AsyncIterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from megahertz.engine import Exchange
from megahertz.errors import Invalid
from megahertz.http.background import BackgroundTasks
from megahertz.http.connection import Connection
from megahertz.http.cookies import parse as cookies
from megahertz.http.ends import Ends
from megahertz.http.fields import Fields, Headers, pairs
from megahertz.http.session import Session
from megahertz.http.state import State
from megahertz.http.url import URL

if TYPE_CHECKING:
    from megahertz.http.form_body import PendingForm

_JSON = msgspec.json.Decoder()


class Address(NamedTuple):
    """One end of a connection."""

    host: str
    port: int


class Place:
    """Where a route hangs: what all of its requests share."""

    __slots__ = ("app", "names", "seed")

    def __init__(
        self,
        app: Any = None,
        names: tuple[str, ...] = (),
        seed: Mapping[str, Any] | None = None,
    ) -> None:
        self.app = app
        self.names = names
        self.seed: Mapping[str, Any] = {} if seed is None else seed


NOWHERE = Place()


class Request:
    """One request, by Starlette's names.

    It owns its bytes: it may be kept after the answer, in a task or a queue.
    """

    __slots__ = (
        "_background",
        "_body",
        "_cookies",
        "_ends",
        "_exchange",
        "_place",
        "_query",
        "_state",
        "_streamed",
    )

    # Made when they are first read: most handlers read none, and each costs 20 ns to preset.
    _background: BackgroundTasks
    _body: bytes
    _query: Fields
    _cookies: dict[str, str]
    _ends: Ends
    _state: State
    _streamed: bool

    def __init__(self, exchange: Exchange, place: Place = NOWHERE) -> None:
        self._exchange = exchange
        self._place = place

    @property
    def method(self) -> str:
        """Upper case."""
        return self._exchange.method

    @property
    def path(self) -> str:
        """Percent-decoded."""
        return self._exchange.path

    @property
    def url(self) -> URL:
        """The address as the client wrote it: scheme, Host, path and query."""
        exchange = self._exchange
        host = exchange.header("host") or _authority(exchange.local)
        scheme = "https" if exchange.secure else "http"
        text = f"{scheme}://{host}{exchange.raw_path.decode('latin-1')}"
        query = exchange.query
        return URL(f"{text}?{query.decode('latin-1')}" if query else text)

    @property
    def path_params(self) -> dict[str, str]:
        """What the pattern's parameters matched, percent-decoded."""
        # One value less than names: the rest is empty.
        return dict(zip_longest(self._place.names, self._exchange.params, fillvalue=""))

    @property
    def query_params(self) -> Fields:
        """The fields of the query string."""
        try:
            return self._query
        except AttributeError:
            self._query = Fields(pairs(self._exchange.query))
            return self._query

    @property
    def headers(self) -> Headers:
        """Read-only, by name in any case."""
        return Headers(self._exchange.headers)

    @property
    def cookies(self) -> dict[str, str]:
        """By name."""
        try:
            return self._cookies
        except AttributeError:
            self._cookies = cookies(self._exchange.headers)
            return self._cookies

    @property
    def client(self) -> Address | None:
        """The other end of the connection; None on a unix socket."""
        peer = self._exchange.peer
        return None if peer is None else Address(*peer)

    @property
    def connection(self) -> Connection:
        """What lives as long as the client's connection, over all of its requests."""
        return self._exchange.tied(Connection)  # type: ignore[no-any-return]

    @property
    def client_certificates(self) -> list[bytes]:
        """What the client has shown (mutual TLS), its own certificate first, as DER."""
        return self._exchange.peer_certificates

    @property
    def app(self) -> Any:
        """The application that serves this request."""
        if self._place.app is None:
            raise AttributeError("this request was made without an application")
        return self._place.app

    @property
    def state(self) -> State:
        """Attributes of your own for this request, beginning with what the lifespan yielded."""
        try:
            return self._state
        except AttributeError:
            self._state = State(**self._place.seed)
            return self._state

    @property
    def session(self) -> Session:
        """What is known of the browser; AttributeError without a layer `Sessions`."""
        return self.state.session  # type: ignore[no-any-return]

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            HTTPError: the rest of it is too large (413), too slow (408) or malformed (400).
        """
        if not self._exchange.streamed:
            return self._exchange.body
        try:
            return self._body
        except AttributeError:
            self._body = b"".join([piece async for piece in self.stream()])
            return self._body

    async def json(self) -> Any:
        """The body as JSON; `Invalid` with status 400 where it is none."""
        try:
            return _JSON.decode(await self.body())
        except (msgspec.DecodeError, RecursionError) as error:
            problem = {"where": "body", "rule": str(error)}
            raise Invalid("The body is not JSON", [problem], status_code=400) from None

    async def stream(self) -> AsyncIterator[bytes]:
        """The body in pieces, as they arrive; what is not asked for stays in the socket.

        Raises:
            HTTPError: as `body`.
            RuntimeError: read before by `stream`, and gone.
        """
        exchange = self._exchange
        if hasattr(self, "_body") or not exchange.streamed:
            body = await self.body()
            if body:
                yield body
            return
        if hasattr(self, "_streamed"):
            raise RuntimeError("the body was read by stream() before: keep what it gave")
        self._streamed = True
        while (piece := exchange.read()) != b"":
            if piece is None:
                await exchange.readable()
            else:
                yield piece

    def hint(self, *links: str) -> None:
        """Tells the client what the answer will need, before it is there (103, RFC 8297).

            request.hint("</style.css>; rel=preload; as=style")

        A client of HTTP/1.0 is told nothing.

        Args:
            links: values of Link fields (RFC 8288).
        """
        self._exchange.hint([link.encode("latin-1") for link in links])

    def form(self) -> "PendingForm":
        """The form in the body: `async with request.form() as form`, or `await request.form()`.

        Its files are in memory up to 1 MiB and on the disk beyond; at the end of the `async with`,
        or by `await form.close()`, they are gone.

        Raises:
            HTTPError: 415 for what is no form, 400 for a malformed one, 413 for one beyond the
                limits (1,000 fields, 1 MiB a field that is no file, `body_bytes` in all).
        """
        from megahertz.http.form_body import PendingForm  # most services read none

        return PendingForm(self._exchange.header("content-type"), self.stream())

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"


def _authority(local: tuple[str, int] | None) -> str:
    if local is None:
        return "localhost"
    host, port = local
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
