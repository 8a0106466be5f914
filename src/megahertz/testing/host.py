"""The application under test and its server, in a thread with a loop of its own.

Two ways lead to it: a port, and socket pairs whose one end the engine adopts: no port, no network,
and from the first byte on the code that serves in production.
"""

import asyncio
import contextvars
import socket
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Self, TypeVar

from megahertz.engine import Server, ServerStatistics, Service
from megahertz.settings import Limits
from megahertz.testing.watched import Watched

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds before a silent server fails the test (httpx's default is 5; CI machines are slow)."""

GRACE = 1.0
"""Seconds for handlers that a test left running; then they are cancelled."""


class Host:
    """Serves while it is entered.

    Args:
        service: of the engine.
        sockets: that listen; none: connections come by `pair` only.
        limits: of the server.
        enters: whether the service is entered: its lifespan and its resources.
    """

    def __init__(
        self,
        service: Service,
        sockets: Sequence[socket.socket] = (),
        *,
        limits: Limits | None = None,
        enters: bool = True,
    ) -> None:
        self._watched = Watched(service, enters=enters)
        self._sockets = sockets
        self._limits = limits
        # Handlers see the context variables of the test.
        run = partial(contextvars.copy_context().run, self._run)
        self._thread = threading.Thread(target=run, name="megahertz-client", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(PATIENCE):
            raise TimeoutError(f"the application did not start within {PATIENCE:g} s")
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self._thread.join(PATIENCE)
        if self._failure is not None:
            raise self._failure

    def reach(self, known: Mapping[str, Any]) -> tuple[socket.socket, int | None]:
        """A connection: to the port, or where there is none, to the engine, with its number.

        Args:
            known: for `Server.adopt`.
        """
        if self._sockets:
            return socket.create_connection(self._sockets[0].getsockname(), PATIENCE), None
        ours, theirs = socket.socketpair()
        with theirs:
            number = self._call(self._adopt(theirs, known))
        if number is None:
            ours.close()
            raise ConnectionError("Limits.connections is reached")
        ours.settimeout(PATIENCE)
        return ours, number

    def end(self, connection: int, seconds: float, *, raises: bool = True) -> None:
        """`Watched.end`, for the test's thread."""
        self._call(self._watched.end(self._server, connection, seconds, raises=raises))

    def cancel(self, connection: int) -> None:
        """`Watched.cancel`, for the test's thread."""
        self._call(self._watched.cancel(self._server, connection, GRACE))

    def where(self, connection: int) -> str:
        """What the handler of a connection waits for."""
        return self._call(self._where(connection))

    def stop(self) -> None:
        """Asks the server to stop, as SIGTERM does, and does not wait; again it does nothing."""
        with suppress(RuntimeError):  # the loop is closed: it has stopped
            self._loop.call_soon_threadsafe(self._stop.set)

    def statistics(self) -> ServerStatistics:
        """The server's, at this moment."""

        async def read() -> ServerStatistics:  # on the loop's thread, which owns the engine
            return self._server.statistics()

        return self._call(read())

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        # Twice the patience: what is called has limits of its own, which say more.
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(2 * PATIENCE)

    async def _adopt(self, sock: socket.socket, known: Mapping[str, Any]) -> int | None:
        return self._server.adopt(sock, **known)

    async def _where(self, connection: int) -> str:
        return self._watched.where(self._server, connection)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            for sock in self._sockets:
                sock.close()
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._server = Server(self._watched, self._sockets, limits=self._limits)
        async with self._server:
            self._ready.set()
            await self._stop.wait()
            await self._server.stop(GRACE, spread=0.0)
