"""The native module. Each section below is bound by the file of `rust/bind/src` that it names."""

from asyncio import AbstractEventLoop, Future
from collections.abc import (
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextvars import Context, ContextVar
from os import PathLike
from types import FrameType
from typing import Any, final

from typing_extensions import disjoint_base

__version__: str

# --- answer.rs ---

@disjoint_base
class Answer:
    """Status, header fields and body, rendered once; may be returned any number of times.

    Args:
        content: the body; str is sent as UTF-8, None is empty.
        status_code: 200 to 599.
        headers: added as they are; content-length and date are the engine's.
        media_type: content-type; `; charset=utf-8` is added to text/*.

    Raises:
        ValueError: a field name or value that could split the head (CR, LF, NUL).
    """

    def __new__(
        cls,
        content: bytes | str | None = None,
        status_code: int = 200,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        media_type: str | None = None,
    ) -> Answer: ...
    @property
    def status_code(self) -> int: ...
    @status_code.setter
    def status_code(self, value: int) -> None: ...
    @property
    def body(self) -> bytes: ...
    @body.setter
    def body(self, value: bytes) -> None: ...
    def attach(self, fd: int, parts: Iterable[bytes | tuple[int, int]]) -> None:
        """Sends bytes and `(offset, length)` ranges of an open file in place of the body.

        The kernel copies them from the file (sendfile), and the descriptor is duplicated.
        """
    @property
    def pieces(self) -> list[bytes | tuple[int, int, int]] | None:
        """What `attach` was given: bytes, and `(fd, offset, length)`; None where the body counts.

        The descriptors are valid as long as this answer is held.
        """
    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Names in lower case, in order; a copy."""
    @raw_headers.setter
    def raw_headers(self, value: Iterable[tuple[bytes, bytes]]) -> None: ...

# --- exchange.rs ---

@final
class Exchange:
    """One request and the way to its answer; owns its bytes, so it may be kept."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str:
        """Percent-decoded."""
    @property
    def raw_path(self) -> bytes: ...
    @property
    def query(self) -> bytes:
        """As sent, without the question mark."""
    def query_values(self, names: tuple[str, ...]) -> tuple[str | None, ...]:
        """The last value of each of those names in the query, decoded; None where it has none."""
    @property
    def params(self) -> tuple[str, ...]:
        """Values of the pattern's parameters, in its order, percent-decoded."""
    @property
    def version(self) -> str:
        """`1.1`, `1.0` or `2`."""
    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names in lower case, in order of arrival."""
    def header(self, name: str) -> str | None:
        """The first field of that name (given in lower case), as latin-1."""
    @property
    def body(self) -> bytes:
        """Whole, chunks joined; RuntimeError while it is `streamed`."""
    @property
    def streamed(self) -> bool:
        """Whether the body was still on its way when the handler began."""
    def read(self) -> bytes | None:
        """The next piece of the body, b"" at its end; None: await `readable()`, then try again.

        Raises:
            HTTPError: the rest is too large (413), too slow (408) or malformed (400).
        """
    def readable(self) -> Future[None]:
        """Done once `read` has news; cancelled with the handler when the peer goes."""
    @property
    def peer(self) -> tuple[str, int] | None: ...
    @property
    def local(self) -> tuple[str, int] | None: ...
    @property
    def websocket(self) -> bool:
        """Whether the peer asks to become a WebSocket, in a handshake that can be completed."""
    def upgrade(self, settings: SocketSettings, headers: Iterable[tuple[bytes, bytes]]) -> Socket:
        """Answers 101. RuntimeError where the answer has begun, or the peer has gone."""
    @property
    def started(self) -> bool:
        """Whether `start` was called: an error can no longer choose the status."""
    @property
    def status(self) -> int | None:
        """Of an answer that was begun by `start`, `answer` or `upgrade`."""
    @property
    def closed(self) -> bool:
        """Whether the answer is complete or the peer has gone."""
    @property
    def secure(self) -> bool:
        """Whether it came by TLS, to us or to a proxy that is believed."""
    @property
    def peer_certificates(self) -> list[bytes]:
        """What the peer has shown, its own certificate first, as DER; empty once it has gone."""
    def hint(self, links: Sequence[bytes]) -> None:
        """Sends 103 Early Hints with these Link fields, before the answer (RFC 8297)."""
    def answer(self, answer: Answer) -> None:
        """Answers whole while the handler goes on; nothing where the peer has gone.

        Raises:
            RuntimeError: the answer has begun already.
        """
    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Begins a streamed answer; chunked unless `headers` has a content-length."""
    def write(self, data: bytes) -> bool:
        """Sends a piece; False: too much is unsent, `await drain()` before the next."""
    def drain(self) -> Future[None]:
        """Done once the peer has taken enough; cancelled with the handler when it goes."""
    def end(self, trailers: Iterable[tuple[bytes, bytes]] | None = None) -> None:
        """Completes a streamed answer; a length not met closes the connection.

        Trailers go to a peer that asked for them (`te: trailers`), behind chunks or over HTTP/2.
        """
    def relay(self, answer: ClientAnswer, silence: float | None) -> Coroutine[Any, Any, None]:
        """Passes what is left of a streamed answer on as the rest of this one, and completes it.

        The server is not read while the peer is behind; cancelled, both are given up.

        Args:
            answer: of a pool of the same loop; nobody reads it.
            silence: seconds that its server may say nothing while the peer is not behind.

        Raises:
            RuntimeError: the answer has not begun, or `answer` was closed, is whole, or is read.
            ReadError: `answer` does not come to its end; nor can this one.
            DeadlineExceeded: the server was silent, or the time is up.
        """
    def tied(self, make: Callable[[], Any]) -> Any:
        """What is tied to the connection, at first what `make()` gives.

        Its `end()` is called once the connection has closed, at once where it has already. Streams
        of HTTP/2 share the connection's.
        """
    def gone(self) -> Future[None]:
        """Done once the peer has left without its answer; for handlers that go on without it."""
    @property
    def connection(self) -> int:
        """The number of the connection, as `Engine.adopt` gave it; a stream has its own."""

# --- exchange/asgi.rs ---

def asgi_scope(exchange: Exchange, template: dict[str, Any], /) -> dict[str, Any]:
    """A copy of `template` with what this request says; `template` has every key already.

    From now on the peer's going cancels nothing, as ASGI applications expect: `Exchange.gone`.
    """

def asgi_answer(
    exchange: Exchange, head: MutableMapping[str, Any], message: MutableMapping[str, Any], /
) -> bool:
    """Answers by http.response.start and the only http.response.body, where both are as usual.

    Returns:
        False: nothing was done, since something takes a closer look: not the only body, a length
        that differs, a HEAD, trailers, a field that is no pair of bytes in a tuple in a list.
    """

def asgi_is_sized(head: MutableMapping[str, Any], /) -> bool:
    """Whether an http.response.start has a content-length, or a status without a body."""

# --- socket.rs ---

@final
class SocketSettings:
    """What a route says about its sockets; `megahertz.settings.Limits` says the rest.

    Args:
        backpressure: "wait", "drop" or "close".
        unsent_bytes: above which it applies; `Limits.unsent_bytes` unless given.
        compress: messages from 1 KiB on, to peers who can inflate.

    Raises:
        ValueError: none of these.
    """

    def __new__(
        cls, *, backpressure: str = "wait", unsent_bytes: int | None = None, compress: bool = True
    ) -> SocketSettings: ...

@final
class Callbacks:
    """What a route of callbacks does; each may be a coroutine function.

    Args:
        make: makes of a `Socket` what the next two get.
        received: of that and a message.
        closed: of that, a close code and a reason.
        failed: of the `Socket` and the error of a callback, whose socket is closed with 1011.
    """

    def __new__(
        cls,
        make: Callable[[Socket], Any],
        received: Callable[[Any, Any], Any],
        closed: Callable[[Any, int, str], Any],
        failed: Callable[[Socket, BaseException], Any],
    ) -> Callbacks: ...
    @property
    def make(self) -> Callable[[Socket], Any]: ...
    @property
    def received(self) -> Callable[[Any, Any], Any]: ...
    @property
    def closed(self) -> Callable[[Any, int, str], Any]: ...
    @property
    def failed(self) -> Callable[[Socket, BaseException], Any]: ...

@final
class Socket:
    """A handle to a WebSocket, and the messages of it that nobody has received."""

    @property
    def key(self) -> int:
        """Tells sockets of an engine apart, also those that ended."""
    @property
    def open(self) -> bool: ...
    @property
    def ended(self) -> tuple[int, str] | None:
        """Code and reason, once it has ended."""
    @property
    def peer(self) -> tuple[str, int] | None: ...
    @property
    def engine(self) -> Engine: ...
    def take(self) -> str | bytes | None:
        """The next message; None: it has `ended`, or await `wait()`, then try again."""
    def wait(self) -> Future[None]:
        """Done once `take` or `ended` has news."""
    def send(self, data: str | bytes) -> bool | None:
        """False: await `drain()`, then try again; None: it is closed."""
    def drain(self) -> Future[None]: ...
    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begins the closing handshake behind what is unsent. ValueError for a code of others."""
    def join(self, room: str) -> bool:
        """False: it is there already, or closed."""
    def leave(self, room: str) -> bool: ...
    def attend(self, callbacks: Callbacks) -> None:
        """From now on its events go to callbacks."""
    def keep(self, object: Any) -> None:
        """The callbacks get this from now on, instead of what `make` makes each time."""

# --- json/encode.rs ---

@final
class JsonEncoder:
    """`Service.encode` of an application whose handlers give plain JSON mostly.

    The engine writes what is made of None, bool, int of 64 bits, float, str, list, tuple, dict of
    str, and msgspec Structs without tag, `array_like` and `omit_defaults` by itself, the same
    octets as msgspec's; and calls `other` with what is not, errors and subclasses included. Where
    a route goes on so, with up to 63 values before the engine looks again.
    """

    def __new__(cls, other: Callable[[Any], bytes]) -> JsonEncoder: ...
    def __call__(self, value: object) -> bytes:
        """By `other`."""
    def plain(self, value: object) -> bytes | None:
        """As the engine writes it; None where that is left to `other`."""

# --- json/decode.rs ---

@final
class JsonDecoder:
    """`decode` of an endpoint whose bodies are plain JSON mostly.

    The engine makes what has the shape by itself, and calls `other` with what has not, errors
    included; where that goes on, with up to 63 texts before it looks again.

    Args:
        other: gives the same value for whatever has the shape.
        shape: `("int", low, high)`, of at most 18 digits, or `("float", low, high)`, both bounds
            included; `("str", least, most)`, of so many characters; `("bool",)`;
            `("maybe", shape)` for that or None; `("list", shape, least, most)`;
            `("dict", shape)`, of str; or `(cls, members)` for a msgspec Struct, with the name in
            JSON, the attribute, the shape, and the default or `...` of each, in the class's order.

    Raises:
        TypeError, IndexError, OverflowError: that is no shape.
    """

    def __new__(cls, other: Callable[[bytes], Any], shape: object) -> JsonDecoder: ...
    def __call__(self, octets: bytes) -> Any: ...
    def plain(self, octets: bytes) -> tuple[Any] | None:
        """As the engine makes it; None where that is left to `other`."""

# --- tls.rs ---

@final
class TlsConfig:
    """What a secure socket shows and asks, checked.

    Args:
        identities: PEM pairs of chain and private key.
        secret: from `ticket_secret`.
        client_ca: PEM of the roots that clients' certificates come from.
        client_required: whether clients must show one.
        only_13: refuse TLS 1.2.
        http2: offer it.

    Raises:
        ValueError: what is wrong with which identity.
    """

    def __new__(
        cls,
        identities: Sequence[tuple[bytes, bytes]],
        *,
        secret: bytes,
        client_ca: bytes | None = None,
        client_required: bool = True,
        only_13: bool = False,
        http2: bool = True,
    ) -> TlsConfig: ...

def ticket_secret(last: bytes | None = None) -> bytes:
    """A secret that the workers of a server share, or `last` as it is by now."""

@final
class ClientTlsConfig:
    """Certificates to trust (PEM; None: the system's), and a chain and a key to show.

    Raises:
        ValueError: what is wrong with them.
    """

    def __new__(
        cls, trusted: bytes | None = None, identity: tuple[bytes, bytes] | None = None
    ) -> ClientTlsConfig: ...

# --- trace.rs ---

@final
class TraceSource:
    """Reads the trace that a request carries, or begins one.

    Args:
        ratio: of the traces that nobody has decided on, the share that is recorded: 0 to 1.
        never: nothing is recorded, whatever the caller has decided.
    """

    def __new__(cls, ratio: float, *, never: bool = False) -> TraceSource: ...
    def of(self, exchange: Any, route: Any = None, /) -> TraceContext:
        """Of a request: what it carries, or a new one where it carries none, or a malformed one."""
    def begin(self, variable: ContextVar[Any], exchange: Any, route: Any, /) -> TraceContext:
        """The same, made the value of `variable` in the current context."""
    def read(self, fields: Iterable[tuple[bytes, bytes]], /) -> TraceContext | None:
        """Of the header fields of a message, names in any case; None where they carry none."""
    def span_id(self) -> str:
        """A new one, 16 hexadecimal digits."""

@final
class TraceContext:
    """Which trace a request or a message belongs to, and whether it is recorded."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
    @property
    def span_id(self) -> str:
        """Of what we do for it, 16 hexadecimal digits."""
    @property
    def parent_id(self) -> str | None:
        """Of the caller's span; None where the trace begins here."""
    @property
    def numbers(self) -> tuple[int, int, int]:
        """The three as numbers; 0 for no parent."""
    @property
    def sampled(self) -> bool:
        """Whether its spans are recorded."""
    @property
    def share(self) -> float:
        """Where the right half of its trace id lies between 0 and 1: for sampling."""
    @property
    def flags(self) -> int:
        """Of a traceparent: 1 sampled, 2 random."""
    @property
    def state(self) -> str:
        """The caller's tracestate, checked; empty where there is none."""
    @property
    def baggage(self) -> str:
        """The caller's baggage as it came; empty where there is none."""
    @property
    def exchange(self) -> Any:
        """The request; None of a message, and of a request that nobody observes (`Quiet`)."""
    @property
    def route(self) -> Any:
        """What `TraceSource.of` was given."""

# --- quiet.rs ---

@final
class Loudness:
    """The share of requests of which a log keeps good answers, 0 to 1; one for all routes."""

    def __new__(cls, share: float) -> Loudness: ...
    def set(self, share: float) -> None:
        """Another one from the next request on."""

@final
class Quiet:
    """A route without its observers, for requests of which they keep nothing.

    Args:
        source: draws the ids; what it samples is observed.
        variable: is given the trace of the request.
        route: what the trace says it is of.
        endpoint: what observes nothing.
        bare: it takes no argument.
        loudness: the share of which good answers are kept; None: of none.
        ended: is told `(exchange, found, status, seconds)` of what has ended badly after all.
    """

    def __new__(
        cls,
        source: TraceSource,
        variable: ContextVar[Any],
        route: Any,
        endpoint: Callable[..., Any],
        *,
        bare: bool,
        loudness: Loudness | None = None,
        ended: Callable[[Exchange, TraceContext, int, float], object] | None = None,
    ) -> Quiet: ...

# --- task.rs ---

@final
class RequestTask:
    """Duck-types `asyncio.Task`; the engine makes one for each request that has a coroutine."""

    _asyncio_future_blocking: bool
    _log_destroy_pending: bool
    @staticmethod
    def alone(
        lp: AbstractEventLoop,
        coro: Coroutine[Any, Any, Any],
        *,
        context: Context | None = None,
        name: str | None = None,
    ) -> RequestTask:
        """A task started by the loop: for `loop.set_task_factory`."""
    def __call__(self, future: Future[Any] | None = None) -> None: ...
    def __await__(self) -> Generator[Any, None, Any]: ...
    def cancel(self, msg: Any | None = None) -> bool: ...
    def cancelling(self) -> int: ...
    def uncancel(self) -> int: ...
    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def result(self) -> Any: ...
    def exception(self) -> BaseException | None: ...
    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None: ...
    def remove_done_callback(self, callback: Callable[[Any], object]) -> int: ...
    def get_coro(self) -> Coroutine[Any, Any, Any] | None: ...
    def get_context(self) -> Context | None: ...
    def get_loop(self) -> AbstractEventLoop: ...
    def get_name(self) -> str: ...
    def set_name(self, name: str) -> None: ...
    def get_stack(self, *, limit: int | None = None) -> list[FrameType]: ...
    @property
    def _loop(self) -> AbstractEventLoop: ...
    @property
    def _fut_waiter(self) -> Future[Any] | None: ...
    @property
    def _cancel_message(self) -> Any | None: ...
    @property
    def _must_cancel(self) -> bool: ...
    @property
    def _callbacks(self) -> list[tuple[Callable[[Any], object], Context]]: ...

# --- convert.rs ---

def plain_int(otherwise: Callable[[str], int], text: str, /) -> int:
    """`int(text)` of 1 to 19 ASCII digits; `otherwise(text)` of anything else."""

# --- probe.rs ---

def read_request(data: bytes, limits: Mapping[str, float]) -> dict[str, Any] | int | None:
    """The first request in `data` as the engine reads it, for tests against other parsers.

    Returns:
        `method target path query version keep headers body rest`; the status of a refusal; or
        None while the request is not whole.
    """

# --- routes.rs ---

@final
class Routes:
    """The engine's router, for requests that the engine did not read."""

    def __new__(cls) -> Routes: ...
    def add(self, method: str, pattern: str, route: int) -> None:
        """As `Engine.add_route`. ValueError for a malformed pattern or a conflict."""
    def find(self, method: str, path: bytes) -> tuple[int, tuple[str, ...]] | None:
        """The route's number and its parameters; `path` is percent-encoded."""
    def allow(self, path: bytes) -> str:
        """The methods that the path knows; empty where it knows none."""
    def speaks_websocket(self, path: bytes) -> bool:
        """Whether it knows nothing else."""

# --- engine.rs ---

@final
class Engine:
    """The poller: one epoll set, watched by the loop through `fileno`.

    Args:
        lp: the running loop.
        limits: the fields of `megahertz.settings.Limits`, by name.
        encode: `Service.encode`.
        failed: `Service.failed`.
        expired: makes the error of a passed deadline from its seconds.
        broken: makes the error of a body that was refused half way from its status.
        idle: called once, after `stop`, when the last connection has closed.
        deadline: the variable that tells a request's end, in seconds of the monotonic clock.
        cores: the share of a processor that this worker may use.
        plane: where it counts; None, or where another engine of this process does: by itself.
    """

    def __new__(
        cls,
        lp: AbstractEventLoop,
        limits: Mapping[str, float],
        *,
        encode: Callable[[Any], bytes],
        failed: Callable[[Exchange, BaseException], Answer],
        expired: Callable[[float], BaseException],
        broken: Callable[[int], BaseException],
        idle: Callable[[], object],
        deadline: ContextVar[float] | None = None,
        cores: float = 1.0,
        plane: Plane | None = None,
    ) -> Engine: ...
    def fileno(self) -> int: ...
    def poll(self) -> None:
        """Serves what is ready; the loop's reader callback."""
    def _pump(self) -> None: ...
    def _panic_next(self) -> None: ...
    def add_route(
        self,
        methods: Sequence[str],
        pattern: str,
        endpoint: Callable[..., Any],
        *,
        bare: bool = False,
        status: int = 200,
        deadline: float | None = None,
        streams: bool = False,
        body_bytes: int | None = None,
        fallback: Callable[..., Any] | None = None,
        gate: Gate | None = None,
        quiet: Quiet | None = None,
    ) -> None:
        """Raises ValueError for a pattern that is malformed or in conflict with another."""
    def set_fallback(
        self, endpoint: Callable[[Exchange], Any], *, gate: Gate | None = None
    ) -> None: ...
    def set_refusal(self, status: int, answer: Answer) -> None: ...
    def trust(self, proxies: Sequence[str], header: str = "x-forwarded") -> None:
        """Believes these peers when they say who asked them: `Exchange.peer`, `Exchange.secure`.

        Args:
            proxies: addresses, networks (`10.0.0.0/8`), and `unix`.
            header: x-forwarded (-For and -Proto) or forwarded (RFC 7239).

        Raises:
            ValueError: none of these.
        """
    def listen(self, fd: int, *, secure: bool = False) -> None:
        """Accepts from a listening socket, by TLS where `secure`; the descriptor is duplicated."""
    def adopt(
        self,
        fd: int,
        *,
        peer: tuple[str, int] | None = None,
        local: tuple[str, int] | None = None,
        secure: bool = False,
    ) -> int | None:
        """Serves a connected stream socket; the descriptor is duplicated.

        Args:
            fd: of any family, such as an end of a socket pair.
            peer: what requests say of its other end.
            local: and of ours.
            secure: requests have come by TLS, which has ended before.

        Returns:
            Its number; None where `Limits.connections` is reached.
        """
    def task(self, connection: int) -> RequestTask | None:
        """The handler that runs for a connection, once it has waited for something."""
    def oldest(self, most: int) -> list[tuple[int | None, int | None, Exchange, RequestTask]]:
        """Requests that wait, the oldest first: the route's number (None: the fallback), since when
        (nanoseconds, monotonic; None where it has no gate), exchange, task."""
    def set_tls(self, config: TlsConfig) -> None:
        """What connections of secure sockets begin with from now on."""
    def unlisten(self) -> None:
        """Stops accepting; what queues is left to others who accept from the same sockets."""
    def stop(self, spread: float = 0.0) -> None:
        """Stops accepting, closes idle connections, lets running requests finish.

        WebSockets are told to go one after the other, the last after `spread` seconds.
        """
    def end_streams(self, most: int) -> int:
        """Cancels so many handlers of event streams and ends their answers; how many are left."""
    def close(self) -> None:
        """Cancels what runs and closes everything."""
    def broadcast(self, room: str, data: str | bytes, skip: Socket | None = None) -> int:
        """Sends to the sockets of a room, but for one; how many took it."""
    def members(self, room: str) -> int: ...
    def _give_up(self, serial: int, socket: Socket) -> None: ...
    def statistics(self) -> dict[str, int]:
        """Counters since the start and gauges of now, by name."""

# --- figures.rs ---

@final
class Figure:
    """A number of this process's part of a plane, by its name: `tasks`, `pool_used{pool="x"}`.

    A counter goes on from what its predecessors in the part have counted.
    """

    def __new__(cls, plane: Plane, name: str, *, counter: bool = False) -> Figure: ...
    def set(self, value: float) -> None:
        """A gauge is this now; a counter has come to this since the figure was made."""
    def clear(self) -> None:
        """It is not told until it is set again."""

# --- plane.rs ---

@final
class Plane:
    """Memory that the workers of a server share: limits, breakers, counters, refusals.

    Without a descriptor it is this process's own. With one it is another's, of which this process
    claims a part (PlaneUnusable: all are taken), or, with `look`, only reads.
    """

    def __new__(cls, fd: int | None = None, *, look: bool = False) -> Plane: ...
    @staticmethod
    def shared(parts: int) -> Plane:
        """One that as many processes may open by its `fileno`; this one has no part of it."""
    def fileno(self) -> int | None: ...
    def owners(self) -> list[tuple[int, int, int]]:
        """Part, process and since when (nanoseconds, monotonic) of each owner alive."""
    def bury(self, pid: int) -> None:
        """A process has ended: what it said of itself counts no more, what it counted stays."""
    def tallies(
        self,
    ) -> list[tuple[str, int, int, list[int], list[tuple[int, int]], list[int]]]:
        """Of each route: name, requests that run, nanoseconds of all that ended, those that ended
        by class (gone, 1xx ... 5xx), refused and observed by rule, and by bucket of latency."""
    def objectives(self) -> list[tuple[str, int]]:
        """Nanoseconds within which requests shall be answered, of each route that says so."""
    def figures(self) -> list[tuple[str, bool, list[tuple[int | None, float]]]]:
        """Every figure: its name with labels, whether it counts, and by part what it came to.

        `engine.accepted`, `engine.refused{malformed}` and so on are the engine's own
        (rust/poll/src/statistics.rs); others bear the names that `Figure` was given. Counters of
        parts whose owner has ended are told, gauges are not. Part None: counted by `count`.
        """
    def count(self, name: str, more: int = 1) -> None:
        """Adds to a counter that nobody owns; also without a part (a supervisor)."""
    def began(self) -> float:
        """Seconds since 1970 when the memory was made: all counters were 0."""
    def exemplars(self) -> list[tuple[str, list[tuple[int, int, int, int] | None]]]:
        """Of each route the newest in each of 21 buckets (below 65.5 us, then doubling): trace,
        span, nanoseconds, and nanoseconds since 1970."""
    def limiters(self) -> list[tuple[str, list[int], int, int, int, int | None]]:
        """Of each: name; law (1 "gcra" and 2 "leaky": nanoseconds a call, and ahead at most; 3
        "window": calls, nanoseconds); admitted, refused, forgotten; how many calls would pass now,
        None where each key has its own."""
    def breakers(self) -> list[tuple[str, tuple[float, float, int, int, int, int]]]:
        """Of each: name, and what `BreakerCell.state` gives."""
    def refusals(self) -> list[tuple[int, int, bool, str, str, list[float]]]:
        """The last, newest first: nanoseconds, rule, whether only observed, id, route, figures."""
    @staticmethod
    def bounds() -> list[int]:
        """The nanoseconds below which the latencies of each bucket are."""

@final
class Limiter:
    """A rate limit in a plane: the same name is the same limit in all its processes.

    Args:
        plane: where.
        name: what it limits.
        law: "gcra" (admits or refuses), "leaky" (gives turns), "window" (counts in windows).
        rate: calls.
        per: seconds.
        burst: calls at once; of "leaky", calls that may wait.
        keys: remembered at once; 0: all calls count together.
    """

    def __new__(
        cls,
        plane: Plane,
        name: str,
        law: str,
        *,
        rate: float,
        per: float = 1.0,
        burst: int = 1,
        keys: int = 0,
    ) -> Limiter: ...
    def acquire(self, key: str | None = None, cost: int = 1, now: int | None = None) -> float:
        """0.0: admitted. Above: seconds until it would be. Below: admitted, after so many seconds.
        `now`: nanoseconds of the monotonic clock."""
    def statistics(self, now: int | None = None) -> tuple[int, int, int, int]:
        """Admitted, refused, keys that mean something, keys forgotten for want of room."""

@final
class BreakerCell:
    """A circuit breaker in a plane.

    Args:
        plane: where.
        name: what it protects.
        failures: up to 1.0 the share of at least `calls`; above, a number.
        calls: that tell something.
        open: seconds until a probe may go.
        window: seconds that are looked at.
        k: adaptive, with this factor, instead of `failures`.
    """

    def __new__(
        cls,
        plane: Plane,
        name: str,
        *,
        failures: float = 0.6,
        calls: int = 100,
        open: float = 2.0,
        window: float = 10.0,
        k: float | None = None,
    ) -> BreakerCell: ...
    def enter(self, now: int | None = None) -> int:
        """0: go. 1: go, as the probe. 2: refused."""
    def leave(
        self, how: int, ok: bool, *, began: int | None = None, now: int | None = None
    ) -> None:
        """How a call that went came out."""
    def abandon(self, how: int, *, now: int | None = None) -> None:
        """It ended without telling anything: its caller left."""
    def state(self, now: int | None = None) -> tuple[float, float, int, int, int, int]:
        """Seconds until it may close (0.0: closed), share refused, calls and failures in the
        window, times opened, calls refused."""

# --- gate.rs ---

@final
class Gate:
    """What stands in front of a route; everything passes until rules are `set`.

    The order is fixed: a deadline that cannot be met, load, rate, breaker, number at once. Who is
    refused is answered by the engine (429, 503), counted, and remembered for `Plane.refusals`.
    """

    def __new__(cls) -> Gate: ...
    def set(
        self,
        plane: Plane,
        name: str,
        *,
        deadline: float | None = None,
        budget: str | None = None,
        shed: ShedState | None = None,
        limit: Limiter | None = None,
        key: str | None = None,
        said: str = "",
        breaker: BreakerCell | None = None,
        fallback: bool = False,
        concurrency: int | None = None,
        priority: str = "live",
        observe: Sequence[str] = ...,
        answers: Sequence[Answer] = ...,
        error: Callable[[int, float | None], Exception],
    ) -> None:
        """These rules from the next request on.

        Args:
            plane: where they count.
            name: the route's.
            deadline: seconds for each request.
            budget: the field by which callers say how many milliseconds they wait.
            shed: refuses by load.
            limit: refuses by rate.
            key: whose: None, "client", "header:NAME" or "path:NUMBER".
            said: the fields of a refusal by rate; the engine goes on with `r=0;t=...`.
            breaker: refuses after failures.
            fallback: then the route's other endpoint answers.
            concurrency: requests at once, in all workers.
            priority: live, batch or test.
            observe: rules that only count: shed, limit, breaker, concurrency.
            answers: to each rule's refusals, in their order; without, they are `Service.failed`'s.
            error: makes the exception of a rule by its number and the seconds to wait.
        """
    def adopt(self, other: Gate) -> None:
        """The rules of another from the next request on."""
    def clear(self) -> None:
        """Everything passes from the next request on."""
    def aim(self, seconds: float) -> None:
        """Requests shall be answered within that: `Plane.objectives` tells it."""
    def exemplify(self, trace: int, span: int, nanoseconds: int) -> None:
        """A request that was traced has ended: `Plane.exemplars` tells its trace."""
    def enter(self, exchange: Any) -> GatePass | None:
        """For a request that another server has read; None where there are no rules.

        Raises:
            RateLimited, BreakerOpen, BulkheadFull, Overloaded: it does not pass.
        """

@final
class GatePass:
    """What was let through."""

    @property
    def fell_back(self) -> bool:
        """The breaker is open: the route's other endpoint answers."""
    @property
    def deadline(self) -> float | None:
        """Seconds of the monotonic clock at which its time is up."""
    def leave(self, status: int | None) -> None:
        """It has ended with this status; None: its client left."""

@final
class ShedState:
    """What a worker knows of its load; routes that share one are shed together."""

    def __new__(
        cls, *, lag: float, interval: float, cpu: float, shares: tuple[float, float, float]
    ) -> ShedState: ...
    def state(self) -> tuple[bool, int, int | None]:
        """Whether a queue stands, requests in flight, and how many may be."""

# --- journal.rs ---

@final
class Journal:
    """Records on disk, a batch made durable by one sync on a thread of Rust's.

    Args:
        directory: made where it is missing; held against everybody else.
        records: that may be appended and not persisted.
        bytes: likewise, on disk.
        segment_bytes: size at which a file of it is complete.
        spacing: seconds from one sync to the next while many append.

    Raises:
        AlreadyHeld: somebody else has it open.
        JournalCorrupt: acknowledged records are damaged or missing.
        OSError: as the system says.
    """

    def __new__(
        cls,
        directory: str,
        *,
        records: int,
        bytes: int,
        segment_bytes: int,
        spacing: float = 0.0,
    ) -> Journal: ...
    def append(self, record: bytes) -> int:
        """The record's sequence number; durable once an outcome says so. Overloaded where full."""
    def fileno(self) -> int:
        """Readable while `outcomes` has news."""
    def outcomes(self) -> list[tuple[int, str, str]]:
        """In order: up to which number, "durable", "refused" or "failed", and why."""
    def replay(self) -> Replay:
        """Every record held when it was opened, the persisted that are left first; once."""
    def persisted(self, upto: int, released: int) -> None:
        """The consumer has all up to `upto`; what is up to `released` may be deleted."""
    def close(self) -> None:
        """Makes durable what was appended, waits for the disk and lets go of the directory."""
    def statistics(self) -> dict[str, int]: ...

@final
class Replay:
    """An iterator of sequence number and record."""

    def __iter__(self) -> Replay: ...
    def __next__(self) -> tuple[int, bytes]: ...

# --- load.rs ---

@final
class Latencies:
    """A histogram of seconds: 3 significant digits from 1 us to 60 s."""

    def __new__(cls) -> Latencies: ...
    def record(self, seconds: float) -> None:
        """More than 60 s counts as 60 s."""
    def add(self, other: Latencies) -> None: ...
    def since(self, earlier: Latencies) -> Latencies:
        """What was counted after an earlier look at the same histogram; ValueError: it is none."""
    def quantile(self, q: float) -> float:
        """The least value that at least a share `q` (0 to 1) did not exceed; 0 when empty."""
    @property
    def mean(self) -> float: ...
    @property
    def max(self) -> float: ...
    def __len__(self) -> int: ...

@final
class LoadRun:
    """Native threads that send requests; they start at once and need no GIL.

    Args:
        host: a numeric address.
        port: and its port.
        mix: weight, method, target, headers (with `host`), body of each kind of request; `{id}`,
            `{n}`, `{rand:LO-HI}`, `{uuid}` and `{csv:COLUMN}` stand in target, header values and
            body.
        connections: over all threads.
        threads: each has an epoll set of its own.
        rates: seconds, requests a second at the begin and at the end of each stretch, warm-up
            included, counted from their intended start; None is the closed loop.
        levels: the same of connections in use (closed loop); None: all.
        think: "constant", "uniform" or "exponential", and its seconds (closed loop).
        lanes: requests at once on a connection: HTTP/2 streams, or pipelined.
        fresh: a connection for each request.
        http2: by ALPN over TLS, by prior knowledge without.
        tls: the server's name, PEM of the certificates to trust (None: the system's), and whether
            anyone is trusted; None: no TLS.
        data: columns, rows of cells, and whether rows are drawn; what `{csv:COLUMN}` stands for.
        warmup: seconds before the measured window.
        duration: seconds of the measured window.
        timeout: seconds for a connection, for an answer, and for a place on a connection.
        record: keep how each request ended.
        first_id: what `{id}` begins with.
        seed: of all draws.

    Raises:
        ValueError: something of this cannot be sent.
    """

    def __new__(
        cls,
        host: str,
        port: int,
        mix: Sequence[tuple[float, str, str, Sequence[tuple[str, str]], bytes | None]],
        *,
        connections: int,
        threads: int = 1,
        rates: Sequence[tuple[float, float, float]] | None = None,
        levels: Sequence[tuple[float, float, float]] | None = None,
        think: tuple[str, float, float] | None = None,
        lanes: int = 1,
        fresh: bool = False,
        http2: bool = False,
        tls: tuple[str, bytes | None, bool] | None = None,
        data: tuple[Sequence[str], Sequence[Sequence[bytes]], bool] | None = None,
        warmup: float,
        duration: float,
        timeout: float,
        record: bool = False,
        first_id: int = 0,
        seed: int = 0,
    ) -> LoadRun: ...
    @staticmethod
    def check(
        mix: Sequence[tuple[float, str, str, Sequence[tuple[str, str]], bytes | None]],
        *,
        data: tuple[Sequence[str], Sequence[Sequence[bytes]], bool] | None = None,
        http2: bool = False,
    ) -> None:
        """Raises ValueError where these requests cannot be rendered with each row of the data."""
    def wait(self, seconds: float | None = None) -> bool:
        """Waits for the end, without the GIL; tells whether all threads have ended."""
    def stop(self) -> None:
        """Sends nothing more; what is under way still ends."""
    def snapshot(self) -> dict[str, Any]:
        """What has been seen so far; `megahertz.load.run` names the fields."""
    def outcomes(self) -> bytes:
        """Native u64s, once it has ended: number << 24 | kind << 16 | status, 0 is unknown."""

# --- reply.rs ---

@final
class Reply:
    """What a call is waited for by: a future, and to `create_task` a coroutine.

    `cancel()` of a command of Redis only ends the waiting: its reply is read in order and dropped.
    Of an HTTP request it frees the connection.
    """

    _asyncio_future_blocking: bool
    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def result(self) -> Any: ...
    def exception(self) -> BaseException | None: ...
    def cancel(self, msg: object = None) -> bool: ...
    def get_loop(self) -> AbstractEventLoop: ...
    @property
    def _loop(self) -> AbstractEventLoop: ...
    def _make_cancelled_error(self) -> BaseException: ...
    def add_done_callback(
        self, callback: Callable[[Reply], object], *, context: Context | None = None
    ) -> None: ...
    def remove_done_callback(self, callback: Callable[[Reply], object]) -> int: ...
    def send(self, value: None) -> Reply: ...
    @staticmethod
    def throw(typ: Any, val: Any = None, tb: Any = None) -> Any: ...
    def close(self) -> None: ...
    def __await__(self) -> Generator[Any, None, Any]: ...
    def __iter__(self) -> Generator[Any, None, Any]: ...
    def __next__(self) -> Reply: ...

# --- links.rs ---

@final
class Links:
    """The poller of a loop's outgoing connections; `add_reader(links.fileno(), links.poll)`."""

    def __new__(cls, lp: AbstractEventLoop) -> Links: ...
    def fileno(self) -> int: ...
    def poll(self) -> None: ...
    def _flush(self) -> None: ...
    def _expire(self) -> None: ...

# --- link.rs ---

@final
class Link:
    """Commands in order, through one connection after the other.

    Args:
        error: makes the exception of a failure: `error(kind, why)`. Kinds: `reply` (the server's
            own error), `full` (too much waits), `unsent` (no connection), `unanswered` (it was
            lost), `late` (no reply in time).
        opened: a connection is open: to be answered by `greet`, and at last by `ready`.
        lost: why there is none, or none any more.
        push: what the server says by itself; an error in it is an exception.
        count: commands that may wait.
        bytes: their octets.
        timeout: seconds for a reply; None: any time.
        encoding: strings become `str`; None: `bytes`.
        errors: what of them cannot be decoded.
    """

    def __new__(
        cls,
        links: Links,
        *,
        error: Callable[[str, str], BaseException],
        opened: Callable[[], object],
        lost: Callable[[str], object],
        push: Callable[[Any], object],
        count: int,
        bytes: int,
        timeout: float | None = None,
        encoding: str | None = None,
        errors: str = "strict",
    ) -> Link: ...
    def command(
        self,
        words: tuple[Any, ...],
        convert: Callable[[Any], Any] | None = None,
        repeat: bool = False,
        timeout: float | None = None,
        raw: bool = False,
    ) -> Reply:
        """Asks; `repeat`: asking twice does no harm, so a lost connection does not fail it.

        Args:
            convert: what becomes of the reply, before anybody has it.
            timeout: seconds; None: the link's, 0: any time.
            raw: its strings stay bytes.

        Raises:
            TypeError: a word is none.
        """
    def pipeline(
        self,
        commands: Sequence[tuple[Any, ...]],
        convert: Callable[[list[Any]], Any] | None = None,
        repeat: bool = False,
        timeout: float | None = None,
    ) -> Reply:
        """Asks them in one piece; the reply is the list of theirs, with errors as exceptions."""
    def say(self, *words: Any) -> None:
        """Sends what has no reply."""
    def greet(self, commands: Sequence[tuple[Any, ...]]) -> Reply:
        """A pipeline before all that waits; RuntimeError unless `opened` has just been called."""
    def ready(self) -> None:
        """What waits may go."""
    def dial(
        self, host: str, port: int, tls: ClientTlsConfig | None = None, name: str = ""
    ) -> None:
        """Begins to connect to an address; `name` is looked for in the certificate."""
    def dial_unix(self, path: str | PathLike[str]) -> None: ...
    def drop_connection(self, why: str) -> None:
        """Loses it."""
    def refuse(self, why: str) -> None:
        """Fails what waits for a connection, and what is asked until there is one."""
    def close(self) -> None:
        """Ends it for good."""
    def pause(self, paused: bool) -> None:
        """Stops to read, or goes on."""
    @property
    def up(self) -> bool:
        """Whether commands leave at once."""
    @property
    def waiting(self) -> int:
        """Commands without a reply."""
    def statistics(self) -> dict[str, int]: ...

# --- client.rs ---

@final
class ClientPool:
    """HTTP connections to any number of servers; `megahertz.engine.Pool` names the limits.

    Args:
        error: makes the exception of a failure: `error(kind, why)`.
        need: finds the addresses of a place, and calls `dial` or `refuse` with them, once a call.
    """

    def __new__(
        cls,
        links: Links,
        *,
        error: Callable[[str, str], BaseException],
        need: Callable[[int], object],
        idle: int,
        idle_per_host: int,
        idle_time: float,
        life: float,
        connections: int,
        waiting: int,
        connect: float,
        acquire: float,
        head: int,
        fields: int,
        body: int,
        http2: bool,
        prior: bool,
    ) -> ClientPool: ...
    def place(
        self,
        authority: bytes,
        tls: ClientTlsConfig | None = None,
        name: str = "",
        prefix: bytes = ...,
        lines: bytes = ...,
        tunnel: bytes | None = None,
    ) -> int:
        """The number of a new place to connect to.

        Args:
            authority: the value of Host.
            name: looked for in the certificate.
            prefix: of every target; `lines` are added to every head: both for a proxy.
            tunnel: what asks a proxy for one.

        Raises:
            ValueError: the authority is none.
        """
    def release(self, place: int) -> bool:
        """Forgets a place where nothing is open or under way; tells whether that was so."""
    def ask(
        self,
        place: int,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: bytes | None,
        timeout: float | None,
        deadline: float,
        stream: bool,
        /,
    ) -> Reply:
        """Asks; the reply is a `ClientAnswer`. `deadline`: of the monotonic clock, or infinity."""
    def ask_in_pieces(
        self,
        place: int,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        timeout: float | None,
        deadline: float,
        stream: bool,
        /,
    ) -> tuple[Reply, int]:
        """Asks with a body that `feed` brings; also the number to feed it by."""
    def feed(self, ticket: int, piece: bytes | None) -> tuple[bool, Reply | None]:
        """Adds a piece; None ends the body. Whether anybody takes it, and what to wait for next."""
    def break_off(self, ticket: int) -> None:
        """A body will not come: its connection is given up, and a stream behind it ends."""
    def dial(self, place: int, addresses: Sequence[tuple[str, int]]) -> None:
        """The addresses of a place that was needed, in the order in which to try them."""
    def refuse(self, place: int, why: str) -> None:
        """There is no address of a place that was needed."""
    def warm(self, place: int, connections: int) -> Reply:
        """Has so many connections open; what to wait for until they are."""
    def close(self) -> None:
        """Ends all of it; who waits is told."""
    def statistics(self, place: int | None = None) -> dict[str, int]: ...

@final
class ClientAnswer:
    """What came: a status, fields, and a body, whole or as it comes.

    Attributes:
        status: 200 to 999.
        reason: what the status line says behind it.
        headers: names in lower case, values as they came (latin-1), in order.
        http_version: `HTTP/1.1`, `HTTP/1.0` or `HTTP/2`.
        body: all of it; RuntimeError where it is read by `async for`.
        trailers: fields behind the body; of one that is streamed, once it has been read.
    """

    @property
    def status(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def http_version(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def trailers(self) -> list[tuple[str, str]]: ...
    def header(self, name: str) -> str | None:
        """The value of the first field of that name, which is in lower case."""
    def __aiter__(self) -> ClientAnswer: ...
    def __anext__(self) -> Coroutine[Any, Any, bytes]: ...
    def aclose(self) -> Coroutine[Any, Any, None]:
        """Ends its stream: a connection that has not brought all of it is closed."""
