"""A pool of HTTP connections of one loop: what leaves a service, on the engine's own poller.

The connections themselves, and all that happens between a request and its answer, are native
(`rust/bind/src/client.rs`); here is who is talked to, under which name, and what failures are
called.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Sequence
from typing import Any

from megahertz.context import DEADLINE
from megahertz.engine.client_settings import (
    Origin,
    PoolSettings,
    PoolStatistics,
    Proxy,
)
from megahertz.engine.link import links
from megahertz.engine.names import Names
from megahertz.engine.native import ClientAnswer, ClientPool, ClientTlsConfig, Reply
from megahertz.errors import (
    AnswerTooLarge,
    BadSettings,
    ConnectError,
    DeadlineExceeded,
    LocalProtocolError,
    MalformedAnswer,
    MegahertzError,
    Misused,
    Overloaded,
    PoolTimeout,
    ReadError,
)

Body = bytes | AsyncIterable[bytes] | None
Headers = Sequence[tuple[str, str]]
Key = Origin | tuple[Origin, Proxy | None, str | None]

_KINDS: dict[str, type[MegahertzError]] = {
    "connect": ConnectError,
    "full": Overloaded,
    "late": DeadlineExceeded,
    "local": LocalProtocolError,
    "pool": PoolTimeout,
    "protocol": MalformedAnswer,
    "read": ReadError,
    "size": AnswerTooLarge,
}

MOST = 1024
"""Origins that are remembered while nothing goes on with them, as `names.MOST`."""


class Pool:
    """Connections that are opened when they are needed, and kept for who comes next.

    Args:
        settings: its limits.
        tls: whom to trust and what to show; None: the roots of the system.
        names: finds addresses (tests).
    """

    def __init__(
        self,
        settings: PoolSettings | None = None,
        *,
        tls: ClientTlsConfig | None = None,
        names: Callable[[], Names] = Names,
    ) -> None:
        self._settings = settings or PoolSettings()
        self._tls, self._make_names = tls, names
        self._native: ClientPool | None = None
        self._ask: Callable[..., Reply] | None = None
        self._places: dict[Key, int] = {}
        self._where: dict[int, tuple[str, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(
        self,
        origin: Origin,
        method: str,
        target: str,
        headers: Headers = (),
        body: Body = None,
        *,
        timeout: float | None = None,
        stream: bool = False,
        via: Proxy | None = None,
        server_name: str | None = None,
    ) -> ClientAnswer:
        """One request and its answer; Host and the body's framing are added unless given.

        Args:
            origin: whom to ask.
            method: a token, in the case that it has.
            target: path and query, percent-encoded.
            headers: further fields.
            body: octets, or pieces of them as they come: chunked, unless a content-length is given.
            timeout: seconds until the answer, or its head where it is streamed; the deadline of
                the context ends it too, and the stream behind it.
            stream: the answer comes with its head; its body is read by `async for`.
            via: a proxy.
            server_name: asked for by TLS, and looked for in the certificate, in place of the host.

        Raises:
            ConnectError: no connection; nothing was sent.
            PoolTimeout: no connection came free in time; nothing was sent.
            Overloaded: as many requests wait for a connection as may.
            DeadlineExceeded: the answer was not there in time.
            ReadError: the connection ended before the answer was whole.
            MalformedAnswer: what came is no answer.
            AnswerTooLarge: its body is larger than `PoolSettings.max_body`.
            LocalProtocolError: a method, target or field that is none.
        """
        key: Key = origin if via is None and server_name is None else (origin, via, server_name)
        place = self._places.get(key)
        if place is None:
            place = self._add(key, origin, via, server_name)
        assert self._ask is not None
        if body is None or type(body) is bytes:
            asked = self._ask(place, method, target, headers, body, timeout, DEADLINE.get(), stream)
            return await asked  # type: ignore[no-any-return]
        if isinstance(body, (bytes, bytearray, memoryview)):
            return await self.send(
                origin, method, target, headers, bytes(body),
                timeout=timeout, stream=stream, via=via, server_name=server_name,
            )  # fmt: skip
        return await self._upload(place, (method, target, headers), body, timeout, stream)

    async def warm(self, origin: Origin, connections: int = 1) -> None:
        """Returns once so many are open, or as many as may be.

        Raises:
            ConnectError: they cannot be.
        """
        place = self._places.get(origin)
        if place is None:
            place = self._add(origin, origin, None, None)
        assert self._native is not None
        await self._native.warm(place, connections)

    async def aclose(self) -> None:
        """Ends its connections; who waits is told."""
        for task in self._tasks:
            task.cancel()
        if self._native is not None:
            self._native.close()
            self._names.close()

    def statistics(self, origin: Origin | None = None) -> PoolStatistics:
        """What there is now (of one origin, where asked), and what has been seen in all."""
        if self._native is None:
            return PoolStatistics(**dict.fromkeys(PoolStatistics.__slots__, 0))
        place = None if origin is None else self._places.get(origin)
        return PoolStatistics(**self._native.statistics(place))

    def _open(self) -> ClientPool:
        if self._native is None:
            its = self._settings
            self._names = self._make_names()
            self._loop = asyncio.get_running_loop()
            self._native = ClientPool(
                links(),
                error=_failure,
                need=self._need,
                idle=its.idle,
                idle_per_host=its.idle_per_host,
                idle_time=its.idle_time,
                life=its.max_life,
                connections=its.connections_per_host,
                waiting=its.waiting_per_host,
                connect=its.connect_timeout,
                acquire=its.acquire_timeout,
                head=its.max_head,
                fields=its.max_fields,
                body=its.max_body,
                http2=its.http2,
                prior=its.http2_prior_knowledge,
            )
            self._ask = self._native.ask
        return self._native

    def _add(self, key: Key, origin: Origin, via: Proxy | None, server_name: str | None) -> int:
        if origin.scheme not in ("http", "https"):
            raise BadSettings(f"{origin.scheme}: a pool speaks http and https")
        native, authority = self._open(), origin.authority.encode()
        if len(self._places) >= MOST:
            vacant = [key for key, place in self._places.items() if native.release(place)]
            for each in vacant:
                del self._places[each]
        secure = origin.scheme == "https"
        options: dict[str, Any] = {}
        if via is not None:
            lines = b"".join(_line(*field) for field in via.headers)
            if secure:
                if via.scheme != "http":
                    raise BadSettings("a tunnel through a proxy of https is not supported")
                options["tunnel"] = _connect(origin, lines)
            else:
                secure = via.scheme == "https"
                options.update(prefix=b"http://" + authority, lines=lines)
        if secure:
            if self._tls is None:
                self._tls = ClientTlsConfig()
            named = origin if via is None or origin.scheme == "https" else via
            options.update(tls=self._tls, name=server_name or named.host)
        try:
            place = self._places[key] = native.place(authority, **options)
        except ValueError as error:
            raise LocalProtocolError(f"{origin.host!r}: {error}") from None
        self._where[place] = (origin.host, origin.port) if via is None else (via.host, via.port)
        return place

    def _need(self, place: int) -> None:
        """A connection is wanted there."""
        assert self._native is not None
        addresses = self._names.known(*self._where[place])
        if addresses is not None:
            self._native.dial(place, addresses)
            return
        task = self._loop.create_task(self._find(place), name="resolve")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _find(self, place: int) -> None:
        assert self._native is not None
        host, port = self._where[place]
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                addresses = await self._names.find(host, port)
        except TimeoutError:
            self._native.refuse(place, f"{host} was not found in time")
        except (OSError, UnicodeError) as error:  # a name that IDNA has no form of is none
            self._native.refuse(place, f"{host}: {getattr(error, 'strerror', None) or error}")
        else:
            self._native.dial(place, addresses)

    async def _upload(
        self,
        place: int,
        line: tuple[str, str, Headers],
        body: Any,
        timeout: float | None,
        stream: bool,
    ) -> ClientAnswer:
        if not hasattr(body, "__aiter__"):
            raise Misused(f"a body of {type(body).__name__}: bytes, or an async iterable of them")
        assert self._native is not None
        reply, ticket = self._native.ask_in_pieces(place, *line, timeout, DEADLINE.get(), stream)
        feeding = self._loop.create_task(self._feed(ticket, body, reply), name="upload")
        self._tasks.add(feeding)
        feeding.add_done_callback(self._tasks.discard)
        try:
            return await reply  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            error = _broken(feeding)
            if error is not None:
                raise error from None
            raise
        finally:
            if not stream:
                feeding.cancel()

    async def _feed(self, ticket: int, body: AsyncIterable[bytes], reply: Reply) -> None:
        assert self._native is not None
        try:
            async for piece in body:
                taken, room = self._native.feed(ticket, piece)
                if not taken:
                    return
                if room is not None:
                    await room
            self._native.feed(ticket, None)
        except BaseException:
            reply.cancel()  # who waits for the answer finds out why
            self._native.break_off(ticket)  # and who reads it already, that there is no more
            raise


def _broken(feeding: "asyncio.Task[None]") -> BaseException | None:
    """What a body raised of its own accord."""
    if not feeding.done() or feeding.cancelled():
        return None
    return feeding.exception()


def _failure(kind: str, why: str) -> MegahertzError:
    return _KINDS[kind](why)


def _line(name: str, value: str) -> bytes:
    if not name or "\r" in name + value or "\n" in name + value:
        raise LocalProtocolError(f"{name!r}: {value!r} is no header field")
    return f"{name}: {value}\r\n".encode("latin-1")


def _connect(origin: Origin, lines: bytes) -> bytes:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    where = f"{host}:{origin.port}".encode()
    return b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (where, where, lines)
