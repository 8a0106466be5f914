"""A service that remembers what its handlers raised, for tests which want to see it raised."""

import asyncio
import linecache
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from megahertz.engine import Answer, Endpoint, Exchange, Gate, Plane, Route, Server, Service
from megahertz.http import AsgiHost, is_chosen


class Watched:
    """Does as its service does.

    Args:
        service: of the engine.
        enters: whether it is entered: its lifespan and its resources.
    """

    def __init__(self, service: Service, *, enters: bool = True) -> None:
        self._service = service
        self._enters = enters
        self._errors: dict[int, BaseException] = {}

    @property
    def routes(self) -> Sequence[Route]:
        """The service's."""
        return self._service.routes

    @property
    def fallback(self) -> Endpoint | None:
        """The service's."""
        return self._service.fallback

    @property
    def gate(self) -> Gate | None:
        """The service's."""
        return getattr(self._service, "gate", None)

    @property
    def plane(self) -> Plane | None:
        """Where the application has the engine count."""
        return getattr(self._service, "plane", None)

    @property
    def refusals(self) -> Mapping[int, Answer]:
        """The service's."""
        return self._service.refusals

    def encode(self, value: object) -> bytes:
        """As the service does."""
        return self._service.encode(value)

    def failed(self, exchange: Exchange, error: BaseException) -> Answer:
        """As the service does; what nobody chose an answer to is kept, by its connection."""
        answer = self._service.failed(exchange, error)
        chosen = is_chosen(error) and not isinstance(self._service, AsgiHost)
        if answer.status_code >= 500 and not chosen:
            self._errors[exchange.connection] = error
        return answer

    async def __aenter__(self) -> "Watched":
        if self._enters:
            await self._service.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> bool | None:
        return await self._service.__aexit__(*exc) if self._enters else None

    async def end(
        self, server: Server, connection: int, seconds: float, *, raises: bool = True
    ) -> None:
        """Waits for a handler, with what it does after its answer.

        Raises:
            TimeoutError: it still runs after `seconds`, and where.
            BaseException: what it raised, if nobody foresaw that and `raises`.
        """
        if not await self._ended(server, connection, seconds):
            where = self.where(server, connection)
            raise TimeoutError(f"the handler still runs {seconds:g} s after its answer, at {where}")
        error = self._errors.pop(connection, None)
        if error is not None and raises:
            raise error

    async def cancel(self, server: Server, connection: int, seconds: float) -> None:
        """Gives a handler that long to end, then cancels it."""
        if not await self._ended(server, connection, seconds):
            task = server.task(connection)
            if task is not None:
                task.cancel()
            await self._ended(server, connection, seconds)

    @staticmethod
    async def _ended(server: Server, connection: int, seconds: float) -> bool:
        task: Any = server.task(connection)
        return task is None or not (await asyncio.wait([task], timeout=seconds))[1]

    def where(self, server: Server, connection: int) -> str:
        """The line at which the handler of a connection waits."""
        task = server.task(connection)
        lines = [] if task is None else list(_lines(task.get_coro()))
        if not lines:
            return "a line that nobody knows"
        own = [line for line in lines if not line.startswith(_FOREIGN)]
        return (own or lines)[-1]


_FOREIGN = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
"""Where the code lies that no test is about."""


def _lines(waits: Any) -> Iterator[str]:
    """Of each coroutine that waits for the next one."""
    while waits is not None and (frame := getattr(waits, "cr_frame", None)) is not None:
        code = frame.f_code
        line = linecache.getline(code.co_filename, frame.f_lineno).strip()
        yield f"{code.co_filename}:{frame.f_lineno} in {code.co_name}: {line}"
        waits = waits.cr_await
