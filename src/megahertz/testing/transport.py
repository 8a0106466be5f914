"""How httpx reaches the application: HTTP/1.1 by h11 over one connection a request.

The two transports differ in who waits: a thread for its socket, or a task for its stream. What is
said on the wire, and what becomes of what comes back, is `_Talk`'s.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h11

from megahertz.engine import Server
from megahertz.testing.host import PATIENCE, Host
from megahertz.testing.watched import Watched

if TYPE_CHECKING:
    import httpx2 as httpx
else:
    try:  # the one that is kept up; the other has the same interface
        import httpx2 as httpx
    except ModuleNotFoundError:
        import httpx

__all__ = ["AsyncTransport", "Known", "Transport", "httpx"]

READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Known:
    """What requests say of the connection that they come by.

    Attributes:
        client: the address of the test.
        raises: whether an error that nobody foresaw is raised in the test.
    """

    client: tuple[str, int]
    raises: bool

    def of(self, url: httpx.URL) -> dict[str, Any]:
        """For `Server.adopt`."""
        secure = url.scheme in ("https", "wss")
        port = (443 if secure else 80) if url.port is None else url.port
        return {"peer": self.client, "local": (url.host, port), "secure": secure}


def seconds_of(request: httpx.Request) -> float:
    """How long the test waits for something to come."""
    return request.extensions.get("timeout", {}).get("read") or PATIENCE


class _Talk:
    """One request and its response, without a socket."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        self._h11 = h11.Connection(h11.CLIENT)
        self.trailers: list[tuple[bytes, bytes]] = []
        self.whole = False

    def head(self) -> bytes:
        request = self._request
        target, fields = request.url.raw_path, request.headers.raw
        return self._say(h11.Request, method=request.method, target=target, headers=fields)

    def data(self, piece: bytes) -> bytes:
        return self._say(h11.Data, data=piece)

    def end(self) -> bytes:
        return self._say(h11.EndOfMessage)

    def _say(self, kind: Callable[..., Any], **parts: Any) -> bytes:
        try:
            return self._h11.send(kind(**parts)) or b""
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error), request=self._request) from error

    def hear(self, data: bytes) -> None:
        """Bytes that have come; none: it was the end."""
        try:
            self._h11.receive_data(data)
        except RuntimeError:
            pass  # the end comes again

    def event(self) -> Any:
        """h11's next; its answers before the answer (103) are passed over."""
        try:
            event = self._h11.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self._h11.next_event()
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error), request=self._request) from error
        if isinstance(event, h11.EndOfMessage):
            self.whole = True
            self.trailers += event.headers
        return event

    def silent(self, where: str | None) -> httpx.ReadTimeout:
        """The error of a test that would wait for ever."""
        asked = f"{self._request.method} {self._request.url}"
        waits = "" if where is None else f"; its handler waits at {where}"
        text = f"{asked}: nothing has come for {seconds_of(self._request):g} s{waits}"
        return httpx.ReadTimeout(text, request=self._request)

    def is_whole(self) -> bool:
        """Whether all has come, though its end may not have been looked at."""
        if not self.whole:
            with suppress(httpx.RemoteProtocolError):
                self.event()
        return self.whole

    def response(self, head: Any, stream: Any) -> httpx.Response:
        if not isinstance(head, h11.Response):
            text = "the server closed the connection without an answer"
            raise httpx.RemoteProtocolError(text, request=self._request)
        extensions = {
            "http_version": b"HTTP/" + head.http_version,
            "reason_phrase": head.reason,
            "http.response.trailers": self.trailers,
        }
        return httpx.Response(
            head.status_code,
            headers=head.headers.raw_items(),
            stream=stream,
            request=self._request,
            extensions=extensions,
        )


class Transport(httpx.BaseTransport):
    """Over a `Host`.

    Args:
        enter: gives the host and what ends its use: the one in use, or one for this request.
        known: what is told of connections.
    """

    def __init__(self, enter: Callable[[], tuple[Host, Callable[[], None]]], known: Known) -> None:
        self._enter = enter
        self._known = known
        self._streams: set[_Stream] = set()

    def close(self) -> None:
        """Leaves the responses that nobody has read to their end."""
        while self._streams:
            self._streams.pop().abandon()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends it and gives the response, whose body is still on its way."""
        host, leave = self._enter()
        try:
            sock, number = host.reach(self._known.of(request.url))
        except BaseException:
            leave()
            raise
        stream = _Stream(request, host, sock, number, leave, self._known.raises)
        self._streams.add(stream)
        stream.closed = self._streams.discard
        return stream.begin()


class _Stream(httpx.SyncByteStream):
    """The body of a response; closing it waits for what the handler does after its answer."""

    def __init__(
        self,
        request: httpx.Request,
        host: Host,
        sock: socket.socket,
        number: int | None,
        leave: Callable[[], None],
        raises: bool,
    ) -> None:
        self._request, self._host, self._socket = request, host, sock
        self._number, self._leave, self._raises = number, leave, raises
        self._talk = _Talk(request)
        self._open = True
        self.closed: Callable[[_Stream], None] = lambda stream: None
        sock.settimeout(seconds_of(request))

    def begin(self) -> httpx.Response:
        try:
            return self._talk.response(self._ask(), self)
        except BaseException as error:
            self._fail(error)
            raise

    def _ask(self) -> Any:
        try:
            self._socket.sendall(self._talk.head())
            assert isinstance(self._request.stream, httpx.SyncByteStream)
            for piece in self._request.stream:
                self._socket.sendall(self._talk.data(piece))
            self._socket.sendall(self._talk.end())
        except TimeoutError:
            raise self._silent() from None
        except OSError:
            pass  # it has been answered before it was read to its end
        return self._next()

    def __iter__(self) -> Iterator[bytes]:
        try:
            while isinstance(event := self._next(), h11.Data):
                yield bytes(event.data)
        except httpx.TransportError as error:
            self._fail(error)
            raise

    def _next(self) -> Any:
        while (event := self._talk.event()) is h11.NEED_DATA:
            try:
                self._talk.hear(self._socket.recv(READ_BYTES))
            except TimeoutError:
                raise self._silent() from None
            except ConnectionResetError:
                self._talk.hear(b"")
        return event

    def _silent(self) -> httpx.ReadTimeout:
        return self._talk.silent(None if self._number is None else self._host.where(self._number))

    def _fail(self, error: BaseException) -> None:
        """What the handler raised says more than what the wire saw of it."""
        self._talk.whole = not isinstance(error, httpx.ReadTimeout)
        self.close()

    def close(self) -> None:
        """Ends the request; again it does nothing."""
        if not self._open:
            return
        self._open = False
        self.closed(self)
        try:
            self._socket.close()
            if self._number is not None and self._talk.is_whole():
                seconds = seconds_of(self._request)
                self._host.end(self._number, seconds, raises=self._raises)
        finally:
            self._leave()

    def abandon(self) -> None:
        """Ends it without a wait: what runs is cancelled with its host."""
        if self._open:
            self._open = False
            self._socket.close()
            self._leave()


class AsyncTransport(httpx.AsyncBaseTransport):
    """Over a server of the same loop.

    Args:
        server: serves `watched`.
        watched: the application.
        known: what is told of connections.
    """

    def __init__(self, server: Server, watched: Watched, known: Known) -> None:
        self._server, self._watched, self._known = server, watched, known

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends it and gives the response, whose body is still on its way."""
        ours, theirs = socket.socketpair()
        with theirs:
            number = self._server.adopt(theirs, **self._known.of(request.url))
        if number is None:
            ours.close()
            raise httpx.ConnectError("Limits.connections is reached", request=request)
        reader, writer = await asyncio.open_connection(sock=ours)
        stream = _AsyncStream(self, request, reader, writer, number)
        return await stream.begin()

    async def end(self, number: int, seconds: float) -> None:
        """Waits for what the handler does after its answer."""
        await self._watched.end(self._server, number, seconds, raises=self._known.raises)

    def where(self, number: int) -> str:
        """What the handler waits for."""
        return self._watched.where(self._server, number)


class _AsyncStream(httpx.AsyncByteStream):
    """The same of a task."""

    def __init__(
        self,
        transport: AsyncTransport,
        request: httpx.Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
    ) -> None:
        self._transport, self._request, self._number = transport, request, number
        self._reader, self._writer = reader, writer
        self._talk = _Talk(request)
        self._open = True

    async def begin(self) -> httpx.Response:
        try:
            return self._talk.response(await self._ask(), self)
        except BaseException as error:
            await self._fail(error)
            raise

    async def _ask(self) -> Any:
        try:
            await self._write(self._talk.head())
            assert isinstance(self._request.stream, httpx.AsyncByteStream)
            async for piece in self._request.stream:
                await self._write(self._talk.data(piece))
            await self._write(self._talk.end())
        except TimeoutError:
            raise self._talk.silent(self._transport.where(self._number)) from None
        except OSError:
            pass  # it has been answered before it was read to its end
        return await self._next()

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(seconds_of(self._request)):
            await self._writer.drain()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while isinstance(event := await self._next(), h11.Data):
                yield bytes(event.data)
        except httpx.TransportError as error:
            await self._fail(error)
            raise

    async def _next(self) -> Any:
        while (event := self._talk.event()) is h11.NEED_DATA:
            try:
                async with asyncio.timeout(seconds_of(self._request)):
                    self._talk.hear(await self._reader.read(READ_BYTES))
            except TimeoutError:
                raise self._talk.silent(self._transport.where(self._number)) from None
            except ConnectionResetError:
                self._talk.hear(b"")
        return event

    async def _fail(self, error: BaseException) -> None:
        self._talk.whole = not isinstance(error, httpx.ReadTimeout | asyncio.CancelledError)
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the request; again it does nothing."""
        if not self._open:
            return
        self._open = False
        self._writer.close()
        if self._talk.is_whole():
            await self._transport.end(self._number, seconds_of(self._request))
