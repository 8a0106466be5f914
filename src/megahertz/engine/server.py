"""A service on sockets, inside the running loop.

The engine's epoll descriptor is registered with the loop as a reader; from then on one callback
serves whole batches (see ARCHITECTURE.md, "A poller inside the asyncio loop").
"""

import asyncio
import dataclasses
import logging
import math
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from megahertz.context import DEADLINE
from megahertz.engine.lifeline import worker_count
from megahertz.engine.native import Engine, Exchange, RequestTask, ticket_secret
from megahertz.engine.plane import plane
from megahertz.engine.processors import share
from megahertz.engine.service import Service
from megahertz.engine.sockets import limit_unsent, silence
from megahertz.engine.statistics import ServerStatistics
from megahertz.engine.tls import Stamp, Tls
from megahertz.errors import BadRoute, BadSettings, BodyRefused, DeadlineExceeded, Misused
from megahertz.settings import Limits

RETIRE = 5.0
"""Seconds, within the grace, that a service has to tell others that it is going, while it still
serves."""

CLEAN_UP = 1.0
"""Seconds that handlers cancelled after the grace have for their `finally`; within the 2 s that
Kubernetes adds to a termination grace that ran out in a preStop hook."""


PACE = 0.001
"""Seconds between two WebSockets or event streams that are told to go, so that a thousand clients
come back in a second. HAProxy has close-spread-time for it, off by default; Envoy spreads over its
--drain-time-s, 600."""

STEP = 0.1
"""Seconds between two looks for event streams to end; requests that came before the stop may still
begin some."""

_BROKEN = {
    400: "the body's framing is malformed",
    408: "the body arrives slower than allowed",
    413: "the body is larger than allowed",
    431: "the trailers are larger than allowed",
}


def _broken(status: int) -> BodyRefused:
    return BodyRefused(status, _BROKEN.get(status, ""))


CERTIFICATE_CHECK = 10.0
"""Seconds between two looks at the files of TLS: a renewal is in use as soon."""

log = logging.getLogger("megahertz")


async def _end_streams(engine: Engine, spread: float) -> None:
    """Ends what would go on for ever, a share each step."""
    part = STEP / max(spread, STEP)
    share = math.ceil(engine.end_streams(0) * part) or 1
    while True:
        engine.end_streams(share)
        await asyncio.sleep(STEP)


def _expired(seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(f"no answer within the deadline of {seconds:g} s")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request whose handler waits for something.

    Attributes:
        route: `GET /items/{sku}`; empty where the fallback answers.
        seconds: since it began; None where its route counts nothing.
        exchange: its own.
        task: its own.
    """

    route: str
    seconds: float | None
    exchange: Exchange
    task: RequestTask


class Server:
    """Serves one service on listening sockets until it is stopped.

    Enter it on the loop that shall serve:

        async with Server(app, [sock]) as server:
            await stop_signal.wait()

    Args:
        service: entered before the first request, left after the last.
        sockets: bound and listening; closed when the server stops.
        limits: what is accepted from peers.
        tls: the sockets speak it; its files are read again when they change.
        secret: of TLS session tickets, where several processes serve as one.
        proxies: addresses and networks (`10.0.0.0/8`, `unix`) of peers that are believed when
            they say who asked them, and how.
        proxy_header: that they say it by: "x-forwarded" or "forwarded" (RFC 7239).
    """

    def __init__(
        self,
        service: Service,
        sockets: Sequence[socket.socket],
        *,
        limits: Limits | None = None,
        tls: Tls | None = None,
        secret: bytes | None = None,
        proxies: Sequence[str] = (),
        proxy_header: str = "x-forwarded",
    ) -> None:
        self._service = service
        self._proxies = (proxies, proxy_header)
        self._sockets = sockets
        self._limits = limits or Limits()
        self._tls = tls
        self._secret = secret or ticket_secret()
        self._stamp: Stamp = ()
        self._check: asyncio.TimerHandle | None = None
        self._engine: Engine | None = None
        self._labels: list[str] = []
        self._handlers: list[tuple[str, Callable[..., Any]]] = []
        self._idle = asyncio.Event()
        self._stopped = self._retired = False

    async def __aenter__(self) -> Self:
        """Enters the service, then listens.

        Raises:
            BadRoute: a pattern is malformed or in conflict with another.
            BadSettings: a file of TLS is missing or wrong.
        """
        if self._engine is not None:
            raise Misused("a Server serves once: make another one")
        loop = asyncio.get_running_loop()
        self._engine = engine = self._make(loop)
        if self._tls is not None:
            self._load(engine, self._tls)
        await self._service.__aenter__()
        loop.add_reader(engine.fileno(), engine.poll)
        for sock in self._sockets:
            limit_unsent(sock)
            engine.listen(sock.fileno(), secure=self._tls is not None)
        if self._tls is not None:
            self._check = loop.call_later(CERTIFICATE_CHECK, self._reload, engine, self._tls)
        return self

    def _load(self, engine: Engine, tls: Tls) -> None:
        stamp = tls.stamp()
        self._secret = ticket_secret(self._secret)
        engine.set_tls(tls.load(self._secret))
        self._stamp = stamp

    def _reload(self, engine: Engine, tls: Tls) -> None:
        """New files serve new connections; wrong ones change nothing, and are tried again."""
        loop = asyncio.get_running_loop()
        self._check = loop.call_later(CERTIFICATE_CHECK, self._reload, engine, tls)
        if tls.stamp() == self._stamp:
            return
        try:
            self._load(engine, tls)
        except BadSettings as error:
            log.error("the old certificates stay: %s", error)
        else:
            log.info("new certificates are in use")

    def _make(self, loop: asyncio.AbstractEventLoop) -> Engine:
        service = self._service
        engine = Engine(
            loop,
            dataclasses.asdict(self._limits),
            encode=service.encode,
            failed=service.failed,
            expired=_expired,
            broken=_broken,
            idle=self._idle.set,
            deadline=DEADLINE,
            cores=share(worker_count()),
            plane=plane() or getattr(service, "plane", None),
        )
        try:
            engine.trust(*self._proxies)
        except ValueError as error:
            raise BadSettings(f"trusted proxies: {error}") from error
        for status, answer in service.refusals.items():
            engine.set_refusal(status, answer)
        routes = service.routes
        self._labels = [route.label for route in routes]
        self._handlers = [(it.label, it.handler) for it in routes if it.handler is not None]
        for route in routes:
            try:
                engine.add_route(
                    route.methods,
                    route.pattern,
                    route.endpoint,
                    bare=route.bare,
                    status=route.status,
                    deadline=route.deadline,
                    streams=route.streams,
                    body_bytes=route.body_bytes,
                    fallback=route.instead,
                    gate=route.gate,
                    quiet=route.quiet,
                )
            except ValueError as error:
                raise BadRoute(f"{'/'.join(route.methods)} {route.pattern}: {error}") from error
        if service.fallback is not None:
            engine.set_fallback(service.fallback, gate=getattr(service, "gate", None))
        return engine

    def adopt(
        self,
        sock: socket.socket,
        *,
        peer: tuple[str, int] | None = None,
        local: tuple[str, int] | None = None,
        secure: bool = False,
    ) -> int | None:
        """Serves a connected socket as if it had been accepted; the caller closes its own handle.

        Args:
            sock: of any family, such as one end of `socket.socketpair()`.
            peer: what requests say of its other end.
            local: and of ours.
            secure: TLS has ended before it.

        Returns:
            The number of the connection; None where `Limits.connections` is reached.
        """
        engine = self._running()
        return engine.adopt(sock.fileno(), peer=peer, local=local, secure=secure)

    def task(self, connection: int) -> RequestTask | None:
        """The handler that runs for a connection, once it has waited for something."""
        return self._running().task(connection)

    def handlers(self) -> list[tuple[str, Callable[..., Any]]]:
        """Labels of routes, and the users' own functions that answer them."""
        return self._handlers

    def waiting(self, most: int) -> list[Waiting]:
        """Requests whose handlers wait, the oldest first; at most so many."""
        now, found = time.monotonic_ns(), self._running().oldest(most)
        return [
            Waiting(
                "" if route is None else self._labels[route],
                None if began is None else (now - began) / 1e9,
                exchange,
                task,
            )
            for route, began, exchange, task in found
        ]

    def _running(self) -> Engine:
        if self._engine is None:
            raise Misused("the Server has not been entered")
        return self._engine

    async def stop(
        self, grace: float = 30.0, *, spread: float | None = None, handed_over: bool = False
    ) -> None:
        """Stops accepting, lets running requests finish, then closes and leaves the service.

        A service is told first (`retire`), unless it was.
        Connections are closed behind their next answer, or once they have been quiet for a second.
        WebSockets are told to come back (1012) and event streams are ended one after the other.

        Args:
            grace: seconds after which what still runs is cancelled ("server closed").
            spread: seconds from the first to the last of those; None is a millisecond for each
                connection, and at most half of the grace.
            handed_over: others accept from the same sockets, and get what queues.
        """
        engine = self._engine
        if engine is None or self._stopped:
            return
        self._stopped = True
        if self._check is not None:
            self._check.cancel()
        grace -= await self.retire(grace)
        if handed_over:
            engine.unlisten()
        if spread is None:
            spread = min(engine.statistics()["connections"] * PACE, grace / 2)
        engine.stop(spread)
        if not handed_over:
            silence(self._sockets)  # a supervisor holds them too
        for sock in self._sockets:
            sock.close()
        ends = asyncio.create_task(_end_streams(engine, spread))
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
                # Its answer is out, but a handler may still be cleaning up.
                await self._ended(engine)
        except TimeoutError:
            pass
        finally:
            ends.cancel()
            engine.close()
            await self._cancelled(engine)
            asyncio.get_running_loop().remove_reader(engine.fileno())
            await self._service.__aexit__(None, None, None)

    async def retire(self, grace: float = 30.0) -> float:
        """Lets the service tell others that it is going, while it still serves; once.

        Args:
            grace: of the stop that is to come: more than that, or `RETIRE`, is not waited.

        Returns:
            The seconds that it took.
        """
        retire = getattr(self._service, "retire", None)
        if retire is None or self._retired:
            return 0.0
        self._retired = True
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(RETIRE, grace)):
                await retire()
        except Exception as error:
            log.error("stops although it could not say so to everybody: %r", error)
        return asyncio.get_running_loop().time() - began

    async def _cancelled(self, engine: Engine) -> None:
        """Lets cancelled handlers clean up, for a bounded time."""
        try:
            async with asyncio.timeout(CLEAN_UP):
                await asyncio.sleep(0)  # sockets' callbacks hear of the end from the loop
                await self._ended(engine)
        except TimeoutError:
            pass

    @staticmethod
    async def _ended(engine: Engine) -> None:
        while engine.statistics()["running"]:  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(0.001)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def statistics(self) -> ServerStatistics:
        """What was served so far and what is going on, at this moment."""
        if self._engine is None:
            return ServerStatistics()
        return ServerStatistics(**self._engine.statistics())
