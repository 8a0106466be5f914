"""Asks other services: httpx's habits over the engine's connections.

Theory: what a call costs beside its bytes is Python. So a call without options is one coroutine
around the pool's: the URL was taken apart when it came first, the fields were checked when the
client was made, and of the answer nothing is made until somebody asks. Everything that an option
asks for takes the longer way (`_answered`).
"""

import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final, Self, TypeVar, Unpack

from megahertz.context import BUDGET_HEADER
from megahertz.engine import ClientTlsConfig, Pool, PoolSettings, PoolStatistics
from megahertz.errors import BadAnswer, BadSettings, DeadlineExceeded, Misused
from megahertz.govern import Upstream
from megahertz.http.client.call import Call
from megahertz.http.client.content import (
    ANTICIPATED,
    EMPTY,
    NOTHING,
    Params,
    content_of,
    query_of,
)
from megahertz.http.client.credentials import AuthTypes, authorization
from megahertz.http.client.decoding import ACCEPTED
from megahertz.http.client.going import going, recording
from megahertz.http.client.jar import Cookies, CookieTypes
from megahertz.http.client.lines import FieldTypes, Lines, lines, method_of, over, value_of
from megahertz.http.client.location import Location, is_absolute, locate
from megahertz.http.client.options import ClientStatistics, Options
from megahertz.http.client.proxies import Proxies
from megahertz.http.client.redirects import MOST, redirected
from megahertz.http.client.response import REDIRECTS, ClientResponse, StreamedResponse
from megahertz.http.client.sender import Sender
from megahertz.http.client.service import Service
from megahertz.http.client.streamed import Streamed
from megahertz.http.client.transport import Came, Transport
from megahertz.observe import series, tells

R = TypeVar("R", bound=ClientResponse)

TIMEOUT: Final = 15.0
"""Seconds of a call, redirects and retries included (Envoy's route timeout: 15; aiohttp: 300; httpx
has 5 for each of its steps, and no limit of the whole)."""

BODY_BYTES: Final = 64 * 1024 * 1024
"""Of a body that is held whole, without its coding (gRPC: 4 MiB; httpx and Go: no limit)."""

USUAL: Final[Lines] = [
    ("accept", "*/*"),
    ("accept-encoding", ACCEPTED),
    ("user-agent", "megahertz"),
]
"""Fields of every request; httpx sends the same."""

_GOING = frozenset(("traceparent", "tracestate", "baggage", BUDGET_HEADER))

Asked = Coroutine[Any, Any, ClientResponse]


class Client:
    """Asks; one object for all calls to whom they go, as it holds the connections.

        async with Client("http://orders:8000") as client:
            response = await client.get("/orders/7")
            order = response.raise_for_status().decode(Order)

    It is a resource of an application (`App(resources=[client])`), and works without being entered;
    then `aclose()` ends it.

    Args:
        base_url: what relative URLs are behind.
        params: fields of every query.
        headers: of every call.
        cookies: to begin with.
        keep_cookies: whether those that answers set are sent from then on: not where one client
            asks for many users, whose sessions would become each other's.
        auth: of every call to `base_url`, or to anybody where there is none.
        timeout: seconds of a call, redirects and retries included; None: only the deadline of
            whoever calls, which ends it in any case.
        follow_redirects: whether to, unless a call says so.
        max_redirects: of one call.
        body_bytes: of an answer that is held whole.
        trust_env: whether HTTP_PROXY and its kin are looked at.
        proxy: leads to everybody.
        propagate: whether the trace, the baggage and what is left of the deadline go along: not
            to strangers.
        tls: whom to trust, and who we are.
        settings: limits of its connections.
        pool: connections that are shared with other clients; closed by whoever made it.
        upstream: the instances behind `base_url`, and how calls to them are governed.

    Raises:
        BadSettings: a number that cannot be, or a base that is no URL to put a path behind.
    """

    def __init__(
        self,
        base_url: str = "",
        *,
        params: Params | None = None,
        headers: FieldTypes | None = None,
        cookies: CookieTypes | None = None,
        keep_cookies: bool = True,
        auth: AuthTypes | None = None,
        timeout: float | None = TIMEOUT,
        follow_redirects: bool = False,
        max_redirects: int = MOST,
        body_bytes: int = BODY_BYTES,
        trust_env: bool = True,
        proxy: str | None = None,
        propagate: bool = True,
        tls: ClientTlsConfig | None = None,
        settings: PoolSettings | None = None,
        pool: Transport | None = None,
        upstream: Upstream | None = None,
    ) -> None:
        if not (timeout is None or timeout > 0) or max_redirects < 0 or body_bytes < 1:
            raise BadSettings(f"Client({timeout=}, {max_redirects=}, {body_bytes=}): above 0")
        self._base, self._home = _based(base_url)
        self._params = "" if params is None else query_of(params)
        self._fields = over(lines(headers), USUAL)
        self._auth = None if auth is None else authorization(auth)
        self._jar, self._keeps = (Cookies(cookies) if cookies else None), keep_cookies
        self._timeout, self._follows, self._most = timeout, follow_redirects, max_redirects
        self._body_bytes = body_bytes
        settings = PoolSettings(max_body=body_bytes) if settings is None else settings
        self._fresh: Callable[[], Transport] | None = None
        if pool is None:
            self._fresh = partial(Pool, settings, tls=tls)
            pool = self._fresh()
        proxies = Proxies(proxy, trust_env=trust_env)
        self._sender = Sender(pool, proxies, propagate=propagate)
        self._service: Service | None = None
        if upstream is not None:
            if self._home is None:
                raise BadSettings("Client(upstream=...): its base_url names the service")
            self._service = Service(upstream, self._home, self._sender, self._fields)
        self._is_bare = not (
            self._params or auth or follow_redirects or upstream or proxies.some
        ) and not any(name in _GOING for name, _ in self._fields)
        tells(self)

    def get(self, url: str, **options: Unpack[Options]) -> Asked:
        """`request` with GET."""
        return self._asked("GET", url, options)

    def post(self, url: str, **options: Unpack[Options]) -> Asked:
        """`request` with POST."""
        return self._asked("POST", url, options)

    def put(self, url: str, **options: Unpack[Options]) -> Asked:
        """`request` with PUT."""
        return self._asked("PUT", url, options)

    def patch(self, url: str, **options: Unpack[Options]) -> Asked:
        """`request` with PATCH."""
        return self._asked("PATCH", url, options)

    def delete(self, url: str, **options: Unpack[Options]) -> Asked:
        """`request` with DELETE."""
        return self._asked("DELETE", url, options)

    def head(self, url: str, **options: Unpack[Options]) -> Asked:
        """`request` with HEAD."""
        return self._asked("HEAD", url, options)

    def options(self, url: str, **options: Unpack[Options]) -> Asked:
        """`request` with OPTIONS."""
        return self._asked("OPTIONS", url, options)

    def request(self, method: str, url: str, **options: Unpack[Options]) -> Asked:
        """Asks, and gives the whole answer, whatever its status.

        Args:
            method: of the request.
            url: absolute, or behind `base_url`.
            options: see `Options`.

        Raises:
            LocalProtocolError: a URL, a method or a field that cannot be sent.
            ConnectError: nothing was sent.
            ReadError: no whole answer came; whether it was done is unknown.
            MalformedAnswer: what came is no HTTP.
            PoolTimeout: no connection came free.
            DeadlineExceeded: the time was up.
            BadAnswer: redirected too often, or where nobody can follow.
        """
        return self._answered(method, url, options, ClientResponse)

    def stream(self, method: str, url: str, **options: Unpack[Options]) -> Streamed:
        """As `request`, with a body that is read while it comes: `response.aiter_bytes()`.

        `timeout` is for its beginning, and then for each piece: the whole may take longer. What is
        left of the body at the end of an `async with` block is given up; awaited instead, the
        response is its owner's to close, or to return in a `RelayResponse`.
        """
        return Streamed(self._answered(method, url, options, StreamedResponse))

    @property
    def cookies(self) -> Cookies:
        """Those that it sends, to whom they belong."""
        if self._jar is None:
            self._jar = Cookies()
        return self._jar

    def _asked(self, method: str, url: str, options: Options) -> Asked:
        if options or not self._is_bare or self._jar is not None:
            return self._answered(method, url, options, ClientResponse)
        return self._bare(method, url)

    async def _bare(self, method: str, url: str) -> ClientResponse:
        """A call of which nothing is asked: as little Python as can be."""
        if self._base and not is_absolute(url):
            url = f"{self._base}/{url.lstrip('/')}"
        place, sender = locate(url), self._sender
        fields, timeout = self._fields, self._timeout
        if place.basic is not None or (sender.propagate and recording()):
            return await self._answered(method, url, {}, ClientResponse)
        if sender.propagate:
            fields = fields + going(timeout)
        sender.calls += 1
        try:
            answer = await sender.pool.send(
                place.origin,
                method,
                place.target,
                fields,
                b"" if method in ANTICIPATED else None,
                timeout=timeout,
            )
        except BaseException:
            sender.failures += 1
            raise
        sender.answers += 1
        self._keep_cookies(place, answer)
        return ClientResponse(answer, method, place.url, self._body_bytes)

    async def _answered(self, method: str, url: str, options: Options, kind: type[R]) -> R:
        """With all that options ask for; follows redirects."""
        call = self._call(method_of(method), url, options)
        timeout = options.get("timeout", self._timeout)
        end = None if timeout is None else time.monotonic() + timeout
        follows = options.get("follow_redirects", self._follows)
        history: list[ClientResponse] = []
        while True:
            answer = await self._hop(call, timeout, kind is StreamedResponse, options.get("key"))
            self._keep_cookies(call.place, answer)
            response = kind(answer, call.method, call.place.url, self._body_bytes)
            response.history, response.silence = history, timeout
            where = answer.header("location")
            if not follows or where is None or answer.status not in REDIRECTS:
                return response
            await answer.aclose()
            history = [*history, response]
            if len(history) > self._most:
                raise BadAnswer(f"{call.place.authority}: more than {self._most} redirects")
            call = redirected(call, answer.status, where)
            timeout = None if end is None else _left(end)

    def _call(self, method: str, url: str, options: Options) -> Call:
        place = self._place(url, options.get("params"))
        content = content_of(
            options.get("content"), options.get("data"), options.get("files"), options.get("json")
        )
        if content is NOTHING and method in ANTICIPATED:
            content = EMPTY
        fields = over(lines(options.get("headers")), over(content.fields, self._fields))
        if value_of(fields, "authorization") is None:
            fields += self._authorization(place, options.get("auth"))
        return Call(method, place, fields, content, options.get("cookies"))

    def _place(self, url: str, params: Params | None) -> Location:
        if self._base and not is_absolute(url):
            url = f"{self._base}/{url.lstrip('/')}"
        query = "&".join(filter(None, (self._params, query_of(params) if params else "")))
        if query:
            url, mark, fragment = url.partition("#")
            url = f"{url}{'&' if '?' in url else '?'}{query}{mark}{fragment}"
        return locate(url)

    def _authorization(self, place: Location, auth: AuthTypes | None) -> Lines:
        if auth is not None:
            return [authorization(auth)]
        if place.basic is not None:
            return [("authorization", place.basic)]
        # Another host that a call names is not told what is for the service.
        home = self._home is None or self._home.origin == place.origin
        return [self._auth] if self._auth is not None and home else []

    async def _hop(
        self, call: Call, timeout: float | None, stream: bool, key: bytes | None
    ) -> Came:
        """One request, or its tries at the instances of the service."""
        jar = Cookies() if self._jar is None and call.cookies else self._jar
        if jar is not None and value_of(call.fields, "cookie") is None:
            jar = jar.over(call.cookies)
            cookie = jar.sent_to(call.place.url, stranger=call.stranger)
            if cookie is not None:
                call = replace(call, fields=[*call.fields, ("cookie", cookie)])
        service = self._service
        if service is not None and service.covers(call.place):
            return await service.send(call, timeout, stream=stream, key=key)
        return await self._sender.send(call, call.place.origin, timeout, stream=stream)

    def _keep_cookies(self, place: Location, answer: Came) -> None:
        if self._keeps and answer.header("set-cookie") is not None:
            self.cookies.read(place.url, answer.headers)

    async def warm(self, connections: int = 1) -> None:
        """Opens connections to `base_url` before the first call needs one.

        Raises:
            Misused: there is no `base_url`, or there are instances behind it.
            ConnectError: nobody is there.
        """
        if self._home is None or self._service is not None:
            raise Misused("Client.warm: of a base_url that is one server")
        await self._sender.pool.warm(self._home.origin, connections)

    def figures(self) -> Iterator[tuple[str, float]]:
        """For metrics (`megahertz.observe.Source`), by the authority of `base_url`."""
        sender, name = self._sender, "" if self._home is None else self._home.authority
        found = {
            "client_calls_total": sender.calls,
            "client_failures_total": sender.failures,
            "client_running": sender.running,
        }
        if self._fresh is not None:
            pool: PoolStatistics = sender.pool.statistics()
            found |= {"client_connections": pool.open, "client_connects_total": pool.dialled}
        return ((series(family, client=name), value) for family, value in found.items())

    def statistics(self) -> ClientStatistics:
        """A snapshot."""
        sender, service = self._sender, self._service
        return ClientStatistics(
            sender.calls,
            sender.failures,
            sender.running,
            sender.pool.statistics(),
            None if service is None else service.upstream.statistics(),
        )

    async def __aenter__(self) -> Self:
        if self._service is not None:
            self._service.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes its connections, and ends its probes; who uses it again opens new ones.

        So an application that is entered several times, as tests do, has it each time.
        """
        if self._service is not None:
            await self._service.aclose()
        if self._fresh is not None:
            pool, self._sender.pool = self._sender.pool, self._fresh()
            await pool.aclose()


def _based(url: str) -> tuple[str, Location | None]:
    if not url:
        return "", None
    place = locate(url)
    if "?" in url or "#" in url:
        raise BadSettings(f"Client({url!r}): a base has no query and no fragment")
    return url.rstrip("/"), place


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("no time is left to follow a redirect")
    return left
